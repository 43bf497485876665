import { build } from 'esbuild'
import { folderOf } from './api.ts'

let imports = 0

/** Imports TypeScript as if it were in the folder of an example, each time anew. `alias` replaces packages by files. */
export async function importExample(name: string, contents: string, alias: Record<string, string> = {}) {
  imports += 1
  const { outputFiles } = await build({
    absWorkingDir: folderOf(name),
    stdin: { contents, resolveDir: folderOf(name), loader: 'ts' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    footer: { js: `// ${imports}` },
    write: false,
    alias,
  })
  const [{ contents: code } = { contents: new Uint8Array() }] = outputFiles
  return import(`data:text/javascript;base64,${Buffer.from(code).toString('base64')}`)
}
