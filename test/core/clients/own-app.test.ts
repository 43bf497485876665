import t from 'tap'
import { createOwnApp } from '../../../src/core/clients/own-app.ts'
import type { Question } from '../../../src/platform/database-poll.ts'

t.test('until Postgres has answered, no resource is known not to be there', async (t) => {
  const questions: Question<never>[] = []
  const poll = {
    ask: (question: Question<never>) => void questions.push(question),
    start: async () => {},
    askNow: async () => {},
    stop: async () => {},
  }
  const ownApp = createOwnApp({ poll })
  t.throws(() => ownApp.permissionAt('https://api.example.com'), { name: 'StoreUnavailable' })
  questions[0]?.answer([] as never, 0)
  t.equal(ownApp.permissionAt('https://api.example.com'), undefined)
})
