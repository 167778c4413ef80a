# The development image: all tools, no code. docker-compose.yml mounts the code.
FROM python:3.13-alpine

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /usr/src/app

COPY requirements-dev.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements-dev.txt

# The owner of the checkout, so that files that the tools write belong to the developer.
ARG DEVELOPER_UID=1000
USER $DEVELOPER_UID:$DEVELOPER_UID
# A user that is not in /etc/passwd has no home directory.
ENV HOME=/tmp

# With `sh`: on some systems a mounted file loses its executable bit.
ENTRYPOINT ["sh", "entrypoint.sh"]
CMD ["python", "manage.py", "run", "--host", "0.0.0.0"]
