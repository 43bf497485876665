# The base of the stages that build, and where Node and its libraries are from; .ci/run tests this version of Node. A tag can be moved, a digest cannot:
# `docker buildx imagetools inspect node:22.23.3-slim` shows it, and it is pinned behind the tag, in this line or by
# `docker build --build-arg NODE_IMAGE=node:22.23.3-slim@sha256:<digest> .`
ARG NODE_IMAGE=node:22.23.3-slim

# Everything, to build. The same base as below, so that native modules fit both.
FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc prisma.config.ts ./
COPY prisma/schema.prisma prisma/
COPY prisma/tools/generate.mjs prisma/tools/
RUN npm ci
COPY tsconfig.json build.ts ./
COPY prisma/ prisma/
COPY src/ src/
RUN npm run build

# What runs: the packages that are not in the bundle, and what the image needs of this system.
FROM ${NODE_IMAGE} AS root
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts
COPY --from=build /app/dist/packages.json dist/
COPY deploy/image/ /tools/
RUN node /tools/root.mjs /root-of-image

# No system but Node and its libraries: no shell, no package manager. Nothing in it is written to.
FROM scratch
COPY --from=root /root-of-image/ /
# Without NODE_ENV the server is in production too; its dependencies read it as well.
ENV PATH=/usr/local/bin NODE_ENV=production HOST=0.0.0.0 PORT=8080
WORKDIR /app
COPY package.json ./
COPY prisma/migrations/ prisma/migrations/
COPY templates/ templates/
COPY --from=root /app/node_modules/ node_modules/
COPY --from=build /app/dist/ dist/
# A number, because Kubernetes' runAsNonRoot accepts no name.
USER 1000
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "http.get({ host: '127.0.0.1', port: process.env.PORT || 8080, path: '/healthz' }, (answer) => process.exit(answer.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
# Node itself, not npm: signals must arrive. `ratchet <command>` instead of it runs a command.
# A roomier young generation: with the default, a third of the time of a busy server goes into collecting it.
CMD ["node", "--max-semi-space-size=32", "dist/server.js"]
