"""The cache of the provider's keys in a worker process."""

import logging
import threading
from http.client import HTTPException
from time import monotonic

import jwt

from project.web.auth import IdentityProviderUnavailable, TokenUnknown
from project.web.oidc.provider import ALGORITHMS, Keys, ProviderError, fetch_keys

# Seconds that a request waits for the keys.
WAIT_TIMEOUT = 5
# Seconds between two fetches: of keys that are still used, because of a token whose
# key is unknown, and after a failure without any key.
REFRESH_SECONDS = 3600
UNKNOWN_KEY_SECONDS = 60
RETRY_SECONDS = 5

log = logging.getLogger(__name__)


class KeyCache:
    """The provider's keys, which a thread fetches when a request needs them.

    A request whose key is known does not wait, unless the keys should have been
    refreshed more than UNKNOWN_KEY_SECONDS ago because nobody has used them.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.keys: Keys = {}
        self.is_available = False
        # Values of `monotonic`: when to fetch the keys again, and when to do so for a
        # token with an unknown key.
        self.refresh_at = self.retry_at = -float("inf")
        self.lock = threading.Lock()
        # The last fetch: an event that is set at its end, and values of `monotonic`,
        # when it ended, and when a fetch that has not ended counts as failed.
        self.fetched = threading.Event()
        self.fetched.set()
        self.fetched_at = self.overdue_at = -float("inf")
        self.logged_reason = ""
        self.log_again_at = 0.0

    def find(self, key_id: str, algorithm: str) -> jwt.PyJWK:
        """Return a key.

        Raises:
            TokenUnknown: the provider does not have it.
            IdentityProviderUnavailable: it may have it.
        """
        now = monotonic()
        key = self.keys.get((key_id, algorithm))
        is_complete = True
        if now >= (self.retry_at if key is None else self.refresh_at):
            fetched = self.start_fetch(now)
            if key is None or now >= self.refresh_at + UNKNOWN_KEY_SECONDS:
                is_complete = fetched.wait(WAIT_TIMEOUT)
                key = self.keys.get((key_id, algorithm))
        if key is not None:
            return key
        if self.is_available and is_complete:
            raise TokenUnknown()
        raise IdentityProviderUnavailable(self.retry_at - monotonic())

    def start_fetch(self, needed_at: float) -> threading.Event:
        """Fetch the keys in a thread, unless another one does or has just done it.

        Args:
            needed_at: when the caller has found that the keys must be fetched.

        Returns:
            The event that is set at the end.
        """
        with self.lock:
            now = monotonic()
            # FETCH_TIMEOUT does not end a response whose head arrives slowly.
            if not self.fetched.is_set() and now > self.overdue_at:
                self.fetched.set()
                self.store(None, f"no answer within {2 * WAIT_TIMEOUT} seconds")
            if self.fetched.is_set() and self.fetched_at < needed_at:
                self.fetched = threading.Event()
                self.overdue_at = now + 2 * WAIT_TIMEOUT
                threading.Thread(
                    target=self.fetch, args=[self.fetched], daemon=True
                ).start()
            return self.fetched

    def fetch(self, done: threading.Event) -> None:
        """Fetch the keys; keep the old ones after a failure.

        Args:
            done: is set at the end.
        """
        keys: Keys | None = None
        reason = "unexpected error"
        try:
            keys = fetch_keys(self.issuer)
            if not keys:
                reason = "it publishes no key for " + ", ".join(sorted(ALGORITHMS))
        except (OSError, HTTPException, ValueError, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"
        except ProviderError as error:
            reason = str(error)
        finally:
            with self.lock:
                # Not after a newer fetch.
                if self.fetched is done:
                    self.store(keys, reason)
            done.set()

    def store(self, keys: Keys | None, reason: str) -> None:
        """Store the result of a fetch, and when to fetch again.

        Args:
            keys: None after a failure.
            reason: why there is no key.
        """
        now = self.fetched_at = monotonic()
        if keys is not None:
            self.keys = keys
        self.is_available = bool(keys)
        self.retry_at = now + (UNKNOWN_KEY_SECONDS if self.keys else RETRY_SECONDS)
        self.refresh_at = now + (REFRESH_SECONDS if keys else UNKNOWN_KEY_SECONDS)
        if self.is_available:
            self.logged_reason = ""
        elif reason != self.logged_reason or now >= self.log_again_at:
            self.logged_reason, self.log_again_at = reason, now + UNKNOWN_KEY_SECONDS
            log.error(
                "the keys of OIDC_ISSUER %s cannot be used (%s): check the setting, and"
                " that this machine can reach the provider. %s",
                self.issuer,
                reason,
                (
                    "The keys that were fetched before remain valid."
                    if self.keys
                    else "Access tokens are answered with 503."
                ),
            )
