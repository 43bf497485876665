import { accessSync, constants } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { delimiter, join } from 'node:path'
import { type BrowserContext, chromium } from 'playwright-core'

interface Teardown {
  teardown(end: () => Promise<unknown>): void
}

const executable = find(['chromium', 'chromium-browser', 'google-chrome'])

/** Why tests that need a browser are skipped; false if they are not. */
export const noBrowser = executable ? false : 'no chromium, chromium-browser or google-chrome on the PATH'

function find(names: readonly string[]): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter)
  return names
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

/**
 * The installed Chromium, with an empty profile. With `serves`, its requests to `PUBLIC_URL` as the tests configure it
 * go to this URL. With `isHttps`, every host below `.test` is this machine, and certificates are not checked.
 */
export async function startBrowser(
  t: Teardown,
  { serves, isHttps = false }: { serves?: string; isHttps?: boolean } = {},
): Promise<BrowserContext> {
  if (!executable) throw new Error(String(noBrowser))
  const browser = await chromium.launch({
    executablePath: executable,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...(serves ? [`--host-resolver-rules=MAP localhost:8080 ${new URL(serves).host}`] : []),
      ...(isHttps ? ['--host-resolver-rules=MAP *.test 127.0.0.1'] : []),
    ],
  })
  t.teardown(() => browser.close())
  return browser.newContext({ ignoreHTTPSErrors: isHttps })
}

/** An authenticator that belongs to the device, knows its user and consents to everything. */
export const PLATFORM = {
  protocol: 'ctap2',
  transport: 'internal',
  hasResidentKey: true,
  hasUserVerification: true,
  isUserVerified: true,
  automaticPresenceSimulation: true,
} as const
/** A security key that stores nothing and verifies nobody. */
export const U2F = { protocol: 'u2f', transport: 'usb', automaticPresenceSimulation: true } as const
export type VirtualAuthenticator = typeof PLATFORM | typeof U2F

/** A page with an authenticator. */
export async function openPage(
  context: BrowserContext,
  url: string,
  options: VirtualAuthenticator = PLATFORM,
) {
  const page = await context.newPage()
  const cdp = await context.newCDPSession(page)
  await cdp.send('WebAuthn.enable')
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', { options })
  await page.goto(url)
  return {
    page,
    async credentials() {
      const { credentials } = await cdp.send('WebAuthn.getCredentials', { authenticatorId })
      return credentials
    },
    /** Adds credentials of another page's authenticator, so that both act as one. */
    async addCredentials(credentials: Awaited<ReturnType<typeof this.credentials>>) {
      for (const credential of credentials) {
        await cdp.send('WebAuthn.addCredential', { authenticatorId, credential })
      }
    },
    setUserVerified: (isUserVerified: boolean) =>
      cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified }),
  }
}

/** Serves one page on its own port, and so on its own origin. */
export async function servePage(t: Teardown, html: string) {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8')
    response.end(html)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(async () => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { origin: `http://localhost:${port}`, port }
}
