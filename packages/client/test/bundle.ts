import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

/** A module of this package and all that it imports, as it is sent to browsers. */
export async function bundle(entry: string, external: string[] = []) {
  const { outputFiles, metafile } = await build({
    entryPoints: [fileURLToPath(new URL(`../src/${entry}`, import.meta.url))],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    metafile: true,
    external,
  })
  return { text: outputFiles[0]?.text ?? '', inputs: Object.keys(metafile.inputs) }
}
