# Page and API under Gunicorn: docker build -t pinch .
# The target `emulator` is an S3 for one machine, used by infra/compose.yaml. It is not part of the product's image.

FROM python:3.13-slim AS packages
WORKDIR /app
COPY requirements/locks requirements/locks
# The environment has no pip of its own. The pip outside also compiles the packages that it installs.
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --no-deps --require-hashes -r requirements/locks/container.txt

FROM packages AS emulator
RUN pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check \
    --no-deps --require-hashes -r requirements/locks/local.txt
COPY functions functions
COPY infra infra
COPY template.yaml ./
ENV PATH=/venv/bin:$PATH PYTHONPATH=functions:. PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
CMD ["moto_server", "--host", "0.0.0.0", "--port", "5002"]

# Node and esbuild exist only in this stage.
FROM python:3.13-slim AS page
WORKDIR /app
COPY requirements/locks requirements/locks
COPY web/package.json .tools/node/
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r requirements/locks/page.txt \
    && npm install --prefix .tools/node --omit=dev --no-package-lock --no-fund --no-audit --no-update-notifier --silent
COPY infra infra
COPY web web
RUN python -m infra.bundle page

FROM python:3.13-slim
WORKDIR /app
COPY --from=packages /venv /venv
COPY --from=page /app/page page
COPY functions functions
COPY infra infra
RUN python -m compileall -q functions infra
# Each worker is a separate process and optimizes one image at a time, since an image may take 2 GB. The app optimizes
# as many images at once as os.cpu_count() says, which PYTHON_CPU_COUNT sets.
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=functions:. \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHON_CPU_COUNT=1
# This user id belongs to nobody on the host. All files belong to root, so the product cannot change itself.
USER 10001:10001
EXPOSE 5001
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT') or 5001}/api/health\", timeout=4)"]
CMD ["gunicorn", "--config", "infra/gunicorn.conf.py", "infra.container:app"]
