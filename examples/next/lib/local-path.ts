/** A path of this app, for what a link says. Anything that could lead to another site is the start page. */
export function localPath(to: unknown): string {
  const base = 'http://app.invalid'
  if (typeof to !== 'string') return '/'
  try {
    const { origin, pathname, search } = new URL(to, base)
    // `/.//evil.example` has the path `//evil.example`, which names a host.
    return origin === base && !pathname.startsWith('//') ? pathname + search : '/'
  } catch {
    return '/'
  }
}
