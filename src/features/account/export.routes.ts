import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { sendDownload } from '../../http/download.ts'
import { userOf } from '../../http/principal.ts'
import { contextOf } from '../../http/request-context.ts'
import { STEP_UP, StepUpBody, stepUpProblems } from '../../http/schemas.ts'
import { type ExportAccountUses, exportAccount } from './export-account.ts'
import { ExportedDocument } from './export-schema.ts'

export type ExportUses = ExportAccountUses

const ONCE_AN_HOUR =
  'Downloads everything that is kept of your account, once an hour; a download that breaks off does not count. Only a ' +
  'document whose last member is `complete` is complete. You get a mail about it.'

/** Exporting a user's own account. */
export const exportRoutes: FastifyPluginAsyncTypebox<ExportUses> = async (app, uses) => {
  const config = { auth: 'user', limit: 'password_check' } as const
  const schema = { tags: ['account'], summary: 'Export your account', response: { 200: ExportedDocument } }
  const filename = () => `account-${new Date(uses.clock.now()).toISOString().slice(0, 10)}.json`

  app.post(
    '/me/export',
    {
      config,
      schema: {
        operationId: 'exportAccount',
        ...schema,
        description: `${ONCE_AN_HOUR} ${STEP_UP}`,
        body: StepUpBody,
        problems: [...stepUpProblems, 'access_token_invalid'],
      },
    },
    async (request, reply) => {
      const exported = await exportAccount(uses, userOf(request), request.body, contextOf(request))
      return sendDownload(reply, { filename: filename(), ...exported })
    },
  )

  app.get(
    '/me/export',
    {
      config,
      schema: {
        operationId: 'exportAccountAfterSignIn',
        ...schema,
        description:
          `${ONCE_AN_HOUR} Instead of a proof, the session must have begun within five minutes, with a second factor if ` +
          'the account has one. In an older session, use `POST /me/export` or sign in again.',
        problems: ['insufficient_user_authentication', 'invalid_credentials', 'too_many_attempts'],
      },
    },
    async (request, reply) => {
      // HEAD has the headers of GET, and exports nothing.
      if (request.method === 'HEAD') return sendDownload(reply, { filename: filename(), parts: nothing() })
      const exported = await exportAccount(uses, userOf(request), undefined, contextOf(request))
      return sendDownload(reply, { filename: filename(), ...exported })
    },
  )
}

async function* nothing(): AsyncGenerator<string> {}
