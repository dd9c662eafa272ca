# The image is the static binary and nothing else: no shell, no libc, and no
# nft or iptables, because Sluice speaks to the kernel itself. `make image`
# builds it with buildah; with another builder:
#
#   test/image/build --stage && docker build -t sluice .
#
# The sidecar runs as 1337, the uid that the redirect rules let pass. The init
# job is the same image; it alone needs root and NET_ADMIN (and NET_RAW), for
# as long as this takes:
#
#   command: [/sluice, iptables, apply], user 0, capabilities NET_ADMIN, NET_RAW
#
# Rule files belong into /etc/sluice/rules, a sluice.yaml into /etc/sluice.
FROM scratch
COPY bin/image/sluice /sluice
COPY bin/image/etc /etc
COPY --chown=1337:1337 bin/image/run /run
WORKDIR /etc/sluice
USER 1337:1337
EXPOSE 15001 15006 15020
ENTRYPOINT ["/sluice"]
CMD ["run"]
