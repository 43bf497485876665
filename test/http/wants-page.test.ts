import fc from 'fast-check'
import t from 'tap'
import { wantsPage } from '../../src/http/wants-page.ts'
import { check } from '../support/property.ts'

const asks = (headers: Record<string, string>) => wantsPage({ headers })
const FORM = 'application/x-www-form-urlencoded'

t.test('a navigation wants a page, in the words of any browser', async (t) => {
  for (const accept of [
    'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
    'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7',
    'text/html, application/xhtml+xml, image/jxr, */*',
    'TEXT/HTML',
    'text/html;q=0.9, application/json;q=0.8',
    'text/*',
    'text/html;charset=utf-8 , */* ; q=0.1',
  ])
    t.equal(asks({ accept }), true, accept)
})

t.test('a call does not', async (t) => {
  for (const accept of [
    '*/*',
    '',
    'application/json',
    'application/json, text/plain, */*',
    'application/problem+json, text/html;q=0.9',
    'application/json, text/html',
    'text/html;q=0, */*',
    'text/html;q=0',
    'text/html;q=nonsense',
    'text/html;q=0.5, application/*;q=0.8',
    'image/png',
  ])
    t.equal(asks({ accept }), false, accept)
  t.equal(asks({}), false)
  const accept = 'text/html,*/*;q=0.8'
  t.equal(asks({ accept, authorization: 'Bearer x' }), false)
  for (const type of ['application/json', 'Application/JSON; charset=utf-8'])
    t.equal(asks({ accept, 'content-type': type }), false, type)
})

t.test('a form wants a page, unless it asks for JSON', async (t) => {
  for (const type of [FORM, 'Application/X-WWW-form-urlencoded ; charset=UTF-8'])
    for (const headers of [{}, { accept: '*/*' }, { accept: 'text/html' }])
      t.equal(asks({ 'content-type': type, ...headers }), true, type)
  t.equal(asks({ 'content-type': FORM, accept: 'application/json' }), false)
  t.equal(asks({ 'content-type': 'text/plain' }), false)
  t.equal(asks({ 'content-type': 'multipart/form-data; boundary=x', accept: 'text/html' }), true)
})

t.test('a request that prefers JSON, or likes both alike, never gets a page', async (t) => {
  const quality = fc.integer({ min: 1, max: 1000 })
  const others = fc.array(fc.constantFrom('image/png', 'text/plain;q=0.1', 'application/xml', ''), {
    maxLength: 3,
  })
  const json = fc.constantFrom('application/json', 'application/problem+json', 'Application/Json')
  await check(
    t,
    fc.asyncProperty(quality, quality, others, json, fc.boolean(), async (one, two, rest, name, first) => {
      const [less, more] = [Math.min(one, two), Math.max(one, two)]
      const ranges = [`text/html;q=${less / 1000}`, `${name};q=${more / 1000}`]
      const accept = [...(first ? ranges : ranges.reverse()), ...rest].join(', ')
      if (asks({ accept })) throw new Error(accept)
    }),
    { numRuns: 500 },
  )
})
