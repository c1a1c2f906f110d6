# Labels, searches and audits folders of photographs, on a CPU and without torch:
#
#   docker build -t swatchbook .
#   docker run --rm --user "$(id -u)" -v "$PWD:/work" swatchbook label photographs --out labels.csv --html sheet.html
#
# Versions are those of the lock. The study itself (torch, notebooks) is made by ./run_all.sh, not in here.
FROM python:3.12-slim AS build
COPY pyproject.toml README.md LICENSE /source/
COPY src /source/src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source

FROM python:3.12-slim
COPY requirements.lock /
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --constraint /requirements.lock /wheels/*.whl && rm -r /wheels
WORKDIR /work
ENTRYPOINT ["swatchbook"]
