export interface Teardown {
  teardown(end: () => unknown): void
}

/** A tab of a browser. What `evaluate` runs, and what that returns, must survive being written as text and as JSON. */
export interface Tab {
  goto(url: string): Promise<unknown>
  reload(): Promise<unknown>
  goBack(): Promise<unknown>
  evaluate<Argument, Result>(
    run: (argument: Argument) => Result,
    argument: Argument,
  ): Promise<Awaited<Result>>
  evaluate<Result>(run: () => Result): Promise<Awaited<Result>>
  close(): Promise<unknown>
}

/** Which cookies a browser keeps: what it does by default, all, none of other sites, or none at all. */
export type Cookies = 'default' | 'allowed' | 'first-party' | 'blocked'

export interface RunningBrowser {
  version: string
  newTab(): Promise<Tab>
  /** Takes the network away from these tabs, or gives it back. */
  setOffline(tabs: readonly Tab[], isOffline: boolean): Promise<void>
  /** Kills the process of a tab, as a system without memory does. `other` is another tab of the same origin. */
  crash(tab: Tab, other: Tab): Promise<void>
}

/** How the tests start and drive one kind of browser. The hosts of `hosts.ts` are this machine. */
export interface Driver<Browser extends RunningBrowser = RunningBrowser> {
  name: string
  /** Why its tests are skipped; false if they are not. */
  missing: string | false
  /** With which settings an app on another site is kept signed in, if its server has `COOKIE_SAMESITE=none`. */
  keepsForOtherSites: Cookies
  /** On which sites an app signs people in then, by setting; elsewhere they are told that cookies are blocked. */
  signsIn: Record<Cookies, readonly ('same' | 'other')[]>
  start(t: Teardown, cookies: Cookies): Promise<Browser>
}
