"""The password of the admin site's operators in the tests."""

from werkzeug.security import generate_password_hash

PASSWORD = "correct horse battery"
# At a low cost: to verify a hash of `hash_password` takes 0.1 seconds.
PASSWORD_HASH = generate_password_hash(PASSWORD, method="scrypt:1024:8:1")
