import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type BrowserContext, chromium } from 'playwright-core'
import { findProgram } from './find-program.ts'

interface Teardown {
  teardown(end: () => Promise<unknown>): void
}

const executable = findProgram(['chromium', 'chromium-browser', 'google-chrome'])

/** Why tests that need a browser are skipped; false if they are not. */
export const noBrowser = executable ? false : 'no chromium, chromium-browser or google-chrome on the PATH'

/**
 * The installed Chromium, with an empty profile. With `serves`, its requests to `PUBLIC_URL` as the tests configure it
 * go to this URL. With `isHttps`, hosts below `.test` and `example.*` are this machine, and certificates are not checked. With
 * `profile`, a folder, its settings apply, and pages that are left are kept for the way back, as people have it.
 */
export async function startBrowser(
  t: Teardown,
  { serves, isHttps = false, profile }: { serves?: string; isHttps?: boolean; profile?: string } = {},
): Promise<BrowserContext> {
  if (!executable) throw new Error(String(noBrowser))
  const options = {
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
      ...(isHttps ? ['--host-resolver-rules=MAP *.test 127.0.0.1,MAP *.example.* 127.0.0.1'] : []),
    ],
  }
  if (profile) {
    const context = await chromium.launchPersistentContext(profile, {
      ...options,
      ignoreDefaultArgs: ['--disable-back-forward-cache'],
      ignoreHTTPSErrors: isHttps,
    })
    t.teardown(() => context.close())
    return context
  }
  const browser = await chromium.launch(options)
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
