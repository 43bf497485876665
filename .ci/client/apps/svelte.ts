import type { AuthClient } from '@ratchet/client'
import { hydrate, mount as mountTo, unmount } from 'svelte'
import { render as renderToHtml } from 'svelte/server'
import Account from './account.svelte'

export const render = async (client: AuthClient) =>
  `<main>${renderToHtml(Account, { props: { client } }).body}</main>`

export async function mount(client: AuthClient, root: HTMLElement) {
  const app = (root.firstChild ? hydrate : mountTo)(Account, { target: root, props: { client } })
  return () => void unmount(app)
}
