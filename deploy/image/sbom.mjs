// The software bill of materials of the image, in CycloneDX: what is in node_modules/, what is in the bundle, Node, and
// the packages of the system whose libraries are in the image. What only builds and tests is not in it.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { basename } from 'node:path'

/**
 * @param libraries Paths of the libraries that are copied from the system.
 * The current folder needs `package-lock.json`, `node_modules/` as in production, and `dist/packages.json`.
 */
export function createSbom(libraries) {
  const npm = execFileSync('npm', ['sbom', '--package-lock-only', '--sbom-format', 'cyclonedx'], {
    encoding: 'utf8',
    maxBuffer: 64 * 1_024 * 1_024,
  })
  const sbom = JSON.parse(npm)
  const bundled = new Set(JSON.parse(readFileSync('dist/packages.json', 'utf8')))
  const isInstalled = (component) => existsSync(pathOf(component))
  const packages = sbom.components
    .filter((component) => isInstalled(component) || bundled.has(pathOf(component)))
    .map((component) => contained(component, isInstalled(component)))
  const components = unique([...packages, nodeComponent(), ...libraries.map(libraryComponent)])
  const refs = new Set([sbom.metadata.component['bom-ref'], ...components.map((one) => one['bom-ref'])])
  return {
    ...sbom,
    metadata: {
      ...sbom.metadata,
      lifecycles: [{ phase: 'build' }],
      component: { ...sbom.metadata.component, name: 'ratchet', type: 'application', scope: undefined },
    },
    components,
    dependencies: sbom.dependencies
      .filter(({ ref }, index, all) => refs.has(ref) && all.findIndex((one) => one.ref === ref) === index)
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((other) => refs.has(other)) })),
  }
}

const pathOf = ({ properties }) => properties.find(({ name }) => name === 'cdx:npm:package:path').value

/** A component of npm's list as it is in the image. npm calls what `build.ts` bundles a development dependency. */
function contained(component, installed) {
  const properties = component.properties.filter(
    ({ name }) => name !== 'cdx:npm:package:development' && (installed || name !== 'cdx:npm:package:path'),
  )
  return { ...component, scope: 'required', properties }
}

/** npm lists a package once for each folder; a reference may occur once. */
const unique = (components) => [...new Map(components.map((one) => [one['bom-ref'], one])).values()]

const nodeComponent = () => ({
  'bom-ref': `node@${process.versions.node}`,
  type: 'platform',
  name: 'node',
  version: process.versions.node,
  scope: 'required',
  cpe: `cpe:2.3:a:nodejs:node.js:${process.versions.node}:*:*:*:*:*:*:*`,
  purl: `pkg:generic/node@${process.versions.node}`,
})

/** The Debian package that a library belongs to; only its name where there is no dpkg. */
function libraryComponent(path) {
  const owner = ownerOf(path)
  if (!owner) return { 'bom-ref': path, type: 'library', name: basename(path), scope: 'required' }
  const { Package: name, Version: version, Architecture: architecture } = fields(dpkg(['-s', owner]), ': ')
  const { ID, VERSION_ID } = fields(readFileSync('/etc/os-release', 'utf8'), '=')
  const purl = `pkg:deb/${ID}/${name}@${encodeURIComponent(version)}?arch=${architecture}&distro=${ID}-${VERSION_ID}`
  return { 'bom-ref': purl, type: 'library', name, version, scope: 'required', purl }
}

/** dpkg knows a file by the path it was packed with, which may lack the `/usr` of where it is. */
function ownerOf(path) {
  const real = realpathSync(path)
  for (const one of [path, real, real.replace(/^\/usr/, '')]) {
    const owner = dpkg(['-S', one]).split(': ')[0]
    if (owner) return owner
  }
}

/** What `dpkg-query` prints; nothing if it knows nothing, or is not there. */
function dpkg(args) {
  try {
    return execFileSync('dpkg-query', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return ''
  }
}

/** The lines `name<separator>value` of a text. */
const fields = (text, separator) =>
  Object.fromEntries(
    text.split('\n').map((line) => {
      const [name = '', ...value] = line.split(separator)
      return [name, value.join(separator).replace(/^"(.*)"$/, '$1')]
    }),
  )
