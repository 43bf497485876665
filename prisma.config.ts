import { existsSync } from 'node:fs'
import { defineConfig } from 'prisma/config'

// `generate`, `validate` and `format` do not run the schema engine, but try to download it if there is none. The path
// of any executable prevents that.
if (existsSync(process.execPath)) process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= process.execPath

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  datasource: { url: process.env.DATABASE_URL ?? 'postgresql://localhost/none' },
})
