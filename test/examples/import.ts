import { build } from 'esbuild'
import { folderOf } from './api.ts'

/** Imports a module of an example, which has packages and settings of its own. `alias` replaces packages by files. */
export async function importExample(name: string, file: string, alias: Record<string, string> = {}) {
  const { outputFiles } = await build({
    absWorkingDir: folderOf(name),
    entryPoints: [file],
    bundle: true,
    format: 'esm',
    platform: 'node',
    write: false,
    alias,
  })
  const [{ contents } = { contents: new Uint8Array() }] = outputFiles
  return import(`data:text/javascript;base64,${Buffer.from(contents).toString('base64')}`)
}
