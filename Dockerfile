# The image of development: all the tools, no code. docker-compose.yml mounts that.
FROM python:3.13-alpine

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /usr/src/app

COPY requirements-dev.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements-dev.txt

# Whoever owns the checkout, so that what the tools write there belongs to them.
ARG DEVELOPER_UID=1000
USER $DEVELOPER_UID:$DEVELOPER_UID
# A user whom the image does not know has none.
ENV HOME=/tmp

# By `sh`: on some systems a mounted file loses the bit that makes it a program.
ENTRYPOINT ["sh", "entrypoint.sh"]
CMD ["python", "manage.py", "run", "--host", "0.0.0.0"]
