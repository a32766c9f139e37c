# syntax=docker/dockerfile:1
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=unknown
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/cofre ./cmd/cofre && \
    mkdir -p /out/state /out/tmp

# Nothing but the binary, the certificates it checks others by, and two directories that belong to it.
FROM scratch
LABEL org.opencontainers.image.title="cofre" \
      org.opencontainers.image.description="Encrypting S3 reverse proxy" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build --chown=65532:65532 /out/state /var/lib/cofre
COPY --from=build --chown=65532:65532 /out/tmp /tmp
COPY --from=build /out/cofre /cofre
ENV COFRE_CONFIG=/etc/cofre/cofre.yaml
USER 65532:65532
WORKDIR /var/lib/cofre
# 9000 is S3; 9001 is the admin listener (/healthz, /readyz, /metrics) and stays inside.
EXPOSE 9000 9001
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/cofre", "healthcheck"]
ENTRYPOINT ["/cofre"]
CMD ["serve"]
