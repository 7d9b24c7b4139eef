# wscheck with Chromium, for `docker run --rm IMAGE browser http://host.docker.internal:3000/`.
FROM python:3.13-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends chromium \
    && rm -rf /var/lib/apt/lists/* \
    # A container allows no user namespaces, which the browser's sandbox needs. The container is the sandbox.
    && echo 'export CHROMIUM_FLAGS="$CHROMIUM_FLAGS --no-sandbox"' > /etc/chromium.d/container \
    && useradd --create-home wscheck

COPY . /tmp/source
RUN pip install --no-cache-dir '/tmp/source[otel,prometheus]' && rm -rf /tmp/source

USER wscheck
WORKDIR /home/wscheck
ENTRYPOINT ["wscheck"]
