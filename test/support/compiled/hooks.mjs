import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const CURRENT_TEST = 'test/support/groups/current.ts'

let dir
let root
let compiled
let packages

export function initialize(data) {
  ;({ dir, root, compiled, packages } = data)
}

export async function resolve(specifier, context, next) {
  if (packages[specifier]) return known(new URL(packages[specifier], compiled))
  const { parentURL = root } = context
  if (specifier === 'tap' && parentURL.endsWith('.test.ts')) return known(new URL(CURRENT_TEST, root))
  if (/^\.{1,2}\/.*\.ts$/.test(specifier)) return known(new URL(specifier, parentURL))
  // The dependencies of a bundled package are resolved from the folder of that package.
  return next(
    specifier,
    parentURL.startsWith(compiled) && !specifier.startsWith('.') ? { ...context, parentURL: root } : context,
  )
}

const known = (url) => ({ url: url.href, format: 'module', shortCircuit: true })

export async function load(url, context, next) {
  if (!url.startsWith(root) || !url.endsWith('.ts')) return next(url, context)
  const path = decodeURIComponent(url.slice(root.length))
  const source = readFileSync(join(dir, path.replace(/\.ts$/, '.js')), 'utf8')
  return { format: 'module', source, shortCircuit: true }
}
