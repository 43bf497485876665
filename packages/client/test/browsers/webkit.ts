import { readdirSync } from 'node:fs'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawnGuarded } from '../../../../src/dev/embedded/guard.ts'
import { freePort, isListening } from '../../../../src/dev/embedded/port.ts'
import { eventually } from '../../../../test/support/eventually.ts'
import { findProgram } from '../../../../test/support/find-program.ts'
import type { Cookies, Driver, Teardown } from './driver.ts'
import { startNetwork } from './network.ts'
import { killProcessOf } from './processes.ts'
import { startSession } from './webdriver.ts'

const driver = findProgram(['WebKitWebDriver'])
const xvfb = findProgram(['Xvfb'])
const miniBrowser = findMiniBrowser()
const absent = Object.entries({ WebKitWebDriver: driver, Xvfb: xvfb, MiniBrowser: miniBrowser })
  .filter(([, path]) => !path)
  .map(([name]) => name)

/** The browser that comes with the engine; it is not on the `PATH`. */
function findMiniBrowser(): string | undefined {
  const folders = ['/usr/lib', ...list('/usr/lib')]
    .flatMap(list)
    .filter((path) => /\/webkit2?gtk-/.test(path))
  return folders.flatMap(list).find((path) => path.endsWith('/MiniBrowser'))
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name))
  } catch {
    return []
  }
}

const SETTINGS = {
  default: [],
  allowed: ['--cookies-policy=always'],
  // On top of the default, which refuses cookies of other sites.
  'first-party': ['--enable-itp'],
  blocked: ['--cookies-policy=never'],
}

interface Display {
  name: string
  /** A folder that is deleted afterwards. */
  home: string
}

/** A screen that nobody sees. */
async function startDisplay(t: Teardown): Promise<Display> {
  const home = await mkdtemp(join(tmpdir(), 'ratchet-webkit-'))
  t.teardown(() => rm(home, { recursive: true, force: true, maxRetries: 10 }))
  const path = join(home, 'display')
  const file = await open(path, 'w')
  const screen = ['-displayfd', '1', '-screen', '0', '1280x800x24', '-nolisten', 'tcp']
  const server = spawnGuarded([String(xvfb), ...screen], { output: file.fd })
  await file.close()
  t.teardown(() => server.stop())
  let number: string | undefined
  await eventually(async () => {
    // It also complains there.
    number = /^(\d+)\n/m.exec(await readFile(path, 'utf8'))?.[1]
    return number !== undefined
  })
  return { name: `:${number}`, home }
}

/** @returns the URL of its WebDriver. */
async function startDriver(t: Teardown): Promise<string> {
  const { name, home } = await startDisplay(t)
  const env = [
    // A shell lets its background processes ignore it, and the driver leaves it at that.
    '--default-signal=INT',
    `DISPLAY=${name}`,
    `HOME=${home}`,
    `XDG_RUNTIME_DIR=${home}`,
    'NO_AT_BRIDGE=1',
    // There is no graphics card.
    'WEBKIT_DISABLE_COMPOSITING_MODE=1',
  ]
  for (;;) {
    const port = await freePort()
    const server = spawnGuarded(['env', ...env, String(driver), `--port=${port}`, '--host=127.0.0.1'])
    t.teardown(() => server.stop())
    await eventually(async () => !server.running || (await isListening(port)))
    // It has ended if somebody else has taken the port before.
    if (server.running) return `http://127.0.0.1:${port}`
  }
}

export const webkit: Driver = {
  name: 'WebKit',
  missing: absent.length > 0 && `not installed: ${absent.join(', ')}`,
  keepsForOtherSites: 'allowed',
  signsIn: { default: ['same'], allowed: ['same', 'other'], 'first-party': ['same'], blocked: [] },
  async start(t: Teardown, cookies: Cookies) {
    const network = await startNetwork(t)
    const session = await startSession(await startDriver(t), {
      browserName: 'MiniBrowser',
      acceptInsecureCerts: true,
      timeouts: { script: 120_000 },
      'webkitgtk:browserOptions': {
        binary: miniBrowser,
        args: ['--automation', `--proxy=${network.url}`, ...SETTINGS[cookies]],
      },
    })
    // The session of a browser with a tab that crashed is over.
    t.teardown(() => session.end().catch(() => {}))
    return {
      version: session.version,
      newTab: session.newTab,
      setOffline: async (_tabs, isOffline) => network.setOffline(isOffline),
      crash: (tab, other) => killProcessOf(tab, other, (command) => command.includes('WebKitWebProcess')),
    }
  },
}
