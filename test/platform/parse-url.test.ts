import t from 'tap'
import { parseUrl } from '../../src/platform/parse-url.ts'

// More often than it takes until the function is compiled.
const OFTEN = 50_000
// From JSON, so that it is a text as it comes from outside.
const { idn } = JSON.parse('{ "idn": "https://bücher.example/konto" }')

t.test('a URL with letters outside ASCII is one, however often it is asked', async (t) => {
  let others = 0
  for (let times = 0; times < OFTEN; times++)
    if (parseUrl(idn)?.hostname !== 'xn--bcher-kva.example') others++
  t.equal(others, 0)
})

t.test('what is no URL is null', async (t) => {
  for (const text of ['', 'x', '/path', 'https://', 'https://a b', 'https://[::1'])
    t.equal(parseUrl(text), null, text)
})
