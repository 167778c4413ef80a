"""Django REST framework: a ModelSerializer and a ModelViewSet."""

import os
from typing import Any
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings

url = urlsplit(os.environ["DATABASE_URL"])
settings.configure(
    SECRET_KEY="the benchmark's",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    APPEND_SLASH=False,
    INSTALLED_APPS=["rest_framework"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": url.path[1:],
            "USER": url.username,
            "HOST": parse_qs(url.query)["host"][0],
            "OPTIONS": {"pool": True},
        }
    },
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import models  # noqa: E402
from django.db.models import Func, Value  # noqa: E402
from django.db.models.functions import Now  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import routers, serializers, viewsets  # noqa: E402
from rest_framework.decorators import api_view  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402


class User(models.Model):
    id = models.BigAutoField(primary_key=True)
    username = models.CharField(max_length=128)
    email = models.EmailField(max_length=128)
    active = models.BooleanField(default=True)
    created_date = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "users"
        managed = False
        db_table = "users"


def filter_by_mailbox(
    users: "models.QuerySet[User]", email: str
) -> "models.QuerySet[User]":
    """Return the users of a mailbox, by the service's unique index."""
    mailbox = Func("email", function="users_mailbox")
    return users.annotate(mailbox=mailbox).filter(
        mailbox=Func(Value(email), function="users_mailbox")
    )


class UserSerializer(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = ["id", "username", "email", "active", "created_date"]
        read_only_fields = ["created_date"]

    def validate_email(self, email: str) -> str:
        # UniqueValidator compares email or upper(email), which have no index.
        others = filter_by_mailbox(User.objects.all(), email)
        if self.instance:
            others = others.exclude(pk=self.instance.pk)
        if others.exists():
            raise serializers.ValidationError("That email already exists.")
        return email


class UserViewSet(viewsets.ModelViewSet):
    queryset = User.objects.all()
    serializer_class = UserSerializer

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        query = request.query_params
        users = self.get_queryset().filter(id__gt=int(query.get("after", 0)))
        if "email" in query:
            users = filter_by_mailbox(users, query["email"])
        users = users.order_by("id")[: int(query.get("limit", 100))]
        return Response({"users": self.get_serializer(users, many=True).data})


@api_view()
def ping(request: Request) -> Response:
    return Response({"status": "success", "message": "pong!"})


router = routers.SimpleRouter(trailing_slash=False)
router.register("users", UserViewSet)
urlpatterns = [path("ping", ping), *router.urls]
app = get_wsgi_application()
