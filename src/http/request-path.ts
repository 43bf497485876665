/** Names the path of a request that no route serves, for the log. */
export type PathName = (url: string) => string

// What a person or a program would call a page or a file: `wp-login.php`, `.env`, `v1`. Longer ones may be tokens.
const NAME = /^[\w.~-]{1,20}$/
const WORDS = /^[A-Za-z]+(?:[._-][A-Za-z]+)*$/
const MAX_WORDS = 40
const MAX_DIGITS = 4
const MAX_SEGMENTS = 4
const MAX_PATHS = 100
const FORGET_MS = 3_600_000

/**
 * Shortens a path, and leaves out its parts that may be secret. There are at most a hundred paths an hour: further ones
 * are `other`, so that a scanner does not fill an index.
 */
export function createPathNames(now: () => number = () => performance.now()): PathName {
  const known = new Set<string>()
  let since = now()
  return (url) => {
    const path = shorten(url)
    if (now() - since > FORGET_MS) {
      known.clear()
      since = now()
    }
    if (!known.has(path) && known.size >= MAX_PATHS) return 'other'
    known.add(path)
    return path
  }
}

function shorten(url: string): string {
  const [path = ''] = url.split(/[?#;]/, 1)
  const [, ...segments] = path.split('/')
  const shown = segments.slice(0, MAX_SEGMENTS).map((segment) => (isName(segment) ? segment : '…'))
  return `/${[...shown, ...(segments.length > MAX_SEGMENTS ? ['…'] : [])].join('/')}`
}

const isName = (segment: string) =>
  segment === '' ||
  (NAME.test(segment) && segment.replace(/\D/g, '').length <= MAX_DIGITS) ||
  (segment.length <= MAX_WORDS && WORDS.test(segment))
