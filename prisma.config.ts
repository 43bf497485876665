import { existsSync } from 'node:fs'
import { defineConfig } from 'prisma/config'

// `generate`, `validate` and `format` never run the schema engine, but look for one and try to
// download it; any executable satisfies them.
if (existsSync(process.execPath)) process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= process.execPath

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  datasource: { url: process.env.DATABASE_URL ?? 'postgresql://localhost/none' },
})
