# The package with its servers: docker build -t medenv . && docker run --rm medenv demo
FROM python:3.11-slim
RUN useradd --create-home medenv
COPY pyproject.toml LICENSE README.md /src/
COPY medenv /src/medenv
COPY kg /src/kg
COPY reward /src/reward
COPY recipes /src/recipes
COPY conf /src/conf
RUN pip install --no-cache-dir "/src[fast]" && rm -rf /src
USER medenv
WORKDIR /home/medenv
RUN mkdir state
EXPOSE 8000 8400
ENTRYPOINT ["medenv"]
CMD ["--help"]
