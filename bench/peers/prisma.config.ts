import { defineConfig } from 'prisma/config'

// `generate` does not run the schema engine; the path of any executable keeps it from downloading one.
process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= process.execPath

export default defineConfig({ schema: 'servers/by-hand.prisma' })
