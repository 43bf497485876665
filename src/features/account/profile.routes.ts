import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { userOf } from '../../http/principal.ts'
import { contextOf } from '../../http/request-context.ts'
import {
  Locale,
  Name,
  NoContent,
  orNull,
  Password,
  STEP_UP,
  StepUpBody,
  stepUpProblems,
  strict,
  User,
} from '../../http/schemas.ts'
import { canonicalLocale } from '../../platform/locale.ts'
import { spellName } from '../../platform/name.ts'
import { type ChangePasswordUses, changePassword } from './change-password.ts'
import { type DeleteAccountUses, deleteAccount } from './delete-account.ts'
import { createProfiles, type ProfilesUses } from './profile.ts'

export type ProfileUses = ProfilesUses & ChangePasswordUses & DeleteAccountUses

/** A user's own profile and password, and deleting the account. */
export const profileRoutes: FastifyPluginAsyncTypebox<ProfileUses> = async (app, uses) => {
  const profiles = createProfiles(uses)
  const tags = ['account']

  app.get(
    '/me',
    {
      config: { auth: 'user' },
      schema: {
        operationId: 'getAccount',
        tags,
        summary: 'Get your account',
        description: 'The account of the access token.',
        response: { 200: User },
      },
    },
    async (request) => profiles.read(userOf(request).userId),
  )

  app.patch(
    '/me',
    {
      config: { auth: 'user', limit: 'change_account' },
      schema: {
        operationId: 'changeAccount',
        tags,
        summary: 'Change your account',
        description:
          '`name`: null removes the name. `locale` is the language of mails; null leaves it to each request.',
        body: Type.Object(
          { name: Type.Optional(orNull(Name)), locale: Type.Optional(orNull(Locale)) },
          { ...strict, minProperties: 1 },
        ),
        response: { 200: User },
      },
    },
    async (request) => {
      const { name, locale } = request.body
      const profile = {
        ...(name !== undefined && { name: name && spellName(name) }),
        ...(locale !== undefined && { locale: locale && (canonicalLocale(locale) ?? null) }),
      }
      return profiles.change(userOf(request), profile, contextOf(request))
    },
  )

  app.delete(
    '/me',
    {
      config: { auth: 'user', limit: 'password_check' },
      schema: {
        operationId: 'deleteAccount',
        tags,
        summary: 'Delete your account',
        description: `Deletes the account and ends all of its sessions at once. ${STEP_UP}`,
        body: StepUpBody,
        response: { 204: NoContent },
        problems: [...stepUpProblems, 'revocation_pending'],
      },
    },
    async (request, reply) => {
      const principal = userOf(request)
      await deleteAccount(uses, principal, request.body, contextOf(request))
      profiles.forget(principal.userId)
      return reply.status(204).send(null)
    },
  )

  app.post(
    '/auth/change-password',
    {
      config: { auth: 'user', limit: 'password_check' },
      schema: {
        operationId: 'changePassword',
        tags,
        summary: 'Change your password',
        description: 'Ends every other session. Needs no second factor.',
        body: Type.Object({ current_password: Password, new_password: Password }, strict),
        response: { 204: NoContent },
        problems: [
          'password_too_weak',
          'invalid_credentials',
          'too_many_attempts',
          'overloaded',
          'revocation_pending',
        ],
      },
    },
    async (request, reply) => {
      const { current_password: currentPassword, new_password: newPassword } = request.body
      const input = { currentPassword, newPassword }
      await changePassword(uses, userOf(request), input, contextOf(request))
      return reply.status(204).send(null)
    },
  )
}
