import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { Value } from 'typebox/value'
import { ExportedDocument } from '../../../src/features/account/export-schema.ts'
import { createPerson } from '../../support/administrator.ts'
import { addEveryFactor } from '../../support/factors.ts'
import { startServer } from '../../support/server.ts'

/** Tables that hold nothing about an account. */
const NOT_ABOUT_ACCOUNTS = [
  'BlockedClient',
  'Client',
  'ClientResource',
  'ClientSecret',
  'OutboxHold',
  'Resource',
  'SigningKey',
  'SpentTicket',
  'UsedCode',
]

/** Why a column is not in the export. */
const SECRET = 'a secret or a hash'
const BOOKKEEPING = 'how the server does its work, and says nothing about the person'
const KEY = 'whose row it is'
const OTHERS = 'another person'
const PASSING = 'gone within a day, and perhaps another person has made it'
const LEFT_OUT = new Set([SECRET, BOOKKEEPING, KEY, OTHERS, PASSING])

/** Where the export has each column of each table about accounts, or why it does not have it. */
const COVERED: Record<string, Record<string, string>> = {
  User: {
    id: 'account.id',
    email: 'account.email',
    emailVerifiedAt: 'account.email_verified_at',
    name: 'account.name',
    locale: 'account.locale',
    passwordHash: 'account.has_password',
    securityVersion: 'account.security_version',
    roles: 'account.roles',
    disabledAt: 'account.disabled_at',
    resetRequiredAt: 'account.reset_required_at',
    createdAt: 'account.created_at',
    updatedAt: 'account.updated_at',
  },
  Session: {
    id: 'sessions.id',
    familyHash: SECRET,
    userId: KEY,
    clientId: 'sessions.client_id',
    resource: 'sessions.resource',
    parentId: 'sessions.allowed_in_session',
    binding: SECRET,
    home: SECRET,
    turns: BOOKKEEPING,
    transport: 'sessions.transport',
    scope: 'sessions.scope',
    amr: 'sessions.amr',
    userAgent: 'sessions.user_agent',
    ip: 'sessions.ip',
    generation: 'sessions.refreshes',
    rotatedAt: 'sessions.last_refresh_at',
    attempt: SECRET,
    reissues: BOOKKEEPING,
    credits: BOOKKEEPING,
    clean: BOOKKEEPING,
    rotatedTo: BOOKKEEPING,
    authTime: 'sessions.signed_in_at',
    createdAt: 'sessions.created_at',
    lastUsedAt: 'sessions.last_used_at',
    idleExpiresAt: 'sessions.idle_expires_at',
    absoluteExpiresAt: 'sessions.absolute_expires_at',
    endedAt: 'sessions.ended_at',
    endedReason: 'sessions.ended_reason',
    tombstonedAt: BOOKKEEPING,
  },
  OneTimeToken: {
    id: 'pending_links.id',
    purpose: 'pending_links.purpose',
    tokenHash: SECRET,
    userId: KEY,
    securityVersion: BOOKKEEPING,
    newEmail: 'pending_links.new_email',
    expiresAt: 'pending_links.expires_at',
    createdAt: 'pending_links.created_at',
  },
  OutboxMessage: {
    id: 'mails.id',
    kind: 'mails',
    topic: 'mails.topic',
    recipient: KEY,
    sealed: SECRET,
    attempts: 'mails.attempts',
    nextAttemptAt: 'mails.next_attempt_at',
    scheduledAt: BOOKKEEPING,
    expiresAt: BOOKKEEPING,
    source: BOOKKEEPING,
    sentAt: 'mails.sent_at',
    gaveUpAt: 'mails.gave_up_at',
    lastError: BOOKKEEPING,
    createdAt: 'mails.created_at',
  },
  AuditEvent: {
    id: 'events.id',
    at: 'events.at',
    type: 'events.type',
    outcome: 'events.outcome',
    reason: 'events.reason',
    userId: KEY,
    sessionId: 'events.session_id',
    clientId: 'events.client_id',
    resource: BOOKKEEPING,
    ip: 'events.ip',
    userAgent: 'events.user_agent',
    requestId: 'events.request_id',
    actor: 'events.by',
    count: BOOKKEEPING,
  },
  TotpFactor: {
    userId: KEY,
    sealedSecret: SECRET,
    confirmedAt: 'authenticator_app.confirmed_at',
    lastStep: 'authenticator_app.last_used_at',
    createdAt: 'authenticator_app.created_at',
  },
  RecoveryCode: {
    id: 'recovery_codes.left',
    userId: KEY,
    codeHash: SECRET,
    createdAt: 'recovery_codes.created_at',
  },
  Passkey: {
    id: 'passkeys.id',
    userId: KEY,
    credentialId: 'passkeys.credential_id',
    publicKey: SECRET,
    counter: 'passkeys.signature_counter',
    transports: 'passkeys.transports',
    name: 'passkeys.name',
    backupEligible: 'passkeys.backup_eligible',
    backedUp: 'passkeys.backed_up',
    createdAt: 'passkeys.created_at',
    lastUsedAt: 'passkeys.last_used_at',
  },
  KnownDevice: {
    userId: KEY,
    deviceHash: SECRET,
    hasSignedIn: 'known_devices.has_signed_in',
    createdAt: 'known_devices.created_at',
    lastUsedAt: 'known_devices.last_used_at',
  },
  GuessCounter: {
    account: KEY,
    bucket: 'failed_guesses.what',
    failures: 'failed_guesses.failures',
    resetsAt: 'failed_guesses.resets_at',
    updatedAt: 'failed_guesses.updated_at',
  },
  MailSuppression: { address: KEY, reason: 'mail_suppression.reason', at: 'mail_suppression.at' },
  ImportedAccount: { userId: KEY, lineHash: BOOKKEEPING, metadata: 'account.metadata' },
  UsedToken: {
    tokenHash: SECRET,
    purpose: BOOKKEEPING,
    userId: KEY,
    newEmail: BOOKKEEPING,
    repeatsLeft: BOOKKEEPING,
    expiresAt: BOOKKEEPING,
  },
  Registration: {
    id: PASSING,
    email: PASSING,
    name: PASSING,
    passwordHash: SECRET,
    tokenHash: SECRET,
    linkHash: SECRET,
    sealedLink: SECRET,
    mailedAt: PASSING,
    ip: PASSING,
    userAgent: PASSING,
    locale: PASSING,
    createdAt: PASSING,
    expiresAt: PASSING,
    userId: KEY,
  },
  RegistrationMail: { id: PASSING, email: PASSING, client: PASSING, dueAt: PASSING, sentAt: PASSING },
  FactorReset: {
    userId: KEY,
    requestedBy: OTHERS,
    requestedAt: 'factors_reset.requested_at',
    effectiveAt: 'factors_reset.effective_at',
  },
  Grant: {
    userId: KEY,
    clientId: 'grants.client_id',
    resource: 'grants.resource',
    scopes: 'grants.scopes',
    createdAt: 'grants.created_at',
    updatedAt: 'grants.updated_at',
  },
  LogoutNotice: { sessionId: PASSING, clientId: PASSING, userId: KEY, endedAt: PASSING },
  DeviceGrant: {
    id: BOOKKEEPING,
    clientId: PASSING,
    deviceCodeHash: SECRET,
    userCodeHash: SECRET,
    resource: PASSING,
    scope: PASSING,
    network: PASSING,
    ip: PASSING,
    userAgent: PASSING,
    interval: BOOKKEEPING,
    polledAt: BOOKKEEPING,
    createdAt: PASSING,
    expiresAt: PASSING,
    userId: KEY,
    decision: PASSING,
    parentId: BOOKKEEPING,
    securityVersion: BOOKKEEPING,
    authTime: BOOKKEEPING,
    amr: BOOKKEEPING,
    endsAt: BOOKKEEPING,
    sessionId: BOOKKEEPING,
  },
  AccountExport: {
    userId: KEY,
    exportId: BOOKKEEPING,
    startedAt: 'exported_at',
    finishedAt: BOOKKEEPING,
    availableAt: BOOKKEEPING,
  },
}

/** The columns of each table, by the names of the schema. */
async function readSchema(): Promise<Record<string, string[]>> {
  const text = await readFile(new URL('../../../prisma/schema.prisma', import.meta.url), 'utf8')
  const models = [...text.matchAll(/^model (\w+) \{\n(.*?)^\}/gms)].map(([, name = '', body = '']) => {
    const fields = [...body.matchAll(/^ {2}(\w+)\s+(\w+)(\[\]|\?)?/gm)]
    return [name, fields.map(([, field = '', type = '']) => ({ field, type }))] as const
  })
  const names = new Set(models.map(([name]) => name))
  return Object.fromEntries(
    models.map(([name, fields]) => [
      name,
      fields.filter(({ type }) => !names.has(type)).map(({ field }) => field),
    ]),
  )
}

t.test('every column of every table about accounts is exported, or there is a reason why not', async (t) => {
  const schema = await readSchema()
  t.ok(Object.keys(schema).length > 12)
  for (const name of NOT_ABOUT_ACCOUNTS) t.ok(schema[name], `${name} exists`)
  const tables = Object.keys(schema).filter((name) => !NOT_ABOUT_ACCOUNTS.includes(name))
  t.strictSame(tables.sort(), Object.keys(COVERED).sort(), 'every table')
  for (const [name, columns] of Object.entries(COVERED)) {
    t.strictSame(Object.keys(columns).sort(), schema[name]?.sort(), `every column of ${name}`)
  }
})

t.test('the export has what is listed here, in the form that the documentation describes', async (t) => {
  const server = await startServer(t)
  const person = await createPerson(server)
  const { recoveryCodes } = await addEveryFactor(server, person, Date.now())
  const [userId, address, at] = [person.id, person.email, new Date()]
  await server.db.factorReset.create({
    data: { userId, requestedBy: 'someone', requestedAt: at, effectiveAt: new Date(Date.now() + 1e8) },
  })
  await server.db.grant.create({
    data: { userId, clientId: 'client', resource: '', scopes: ['openid'], createdAt: at, updatedAt: at },
  })
  await server.db.mailSuppression.create({ data: { address, reason: 'lifted', at } })
  await server.post('/auth/login', { email: address, password: 'a wrong guess' })
  await server.post('/auth/request-password-reset', { email: address })
  await server.db.auditEvent.create({
    data: { id: randomUUID(), at, type: 'login', outcome: 'success', userId, actor: userId, requestId: 'r' },
  })
  const proof = { password: server.password, recovery_code: recoveryCodes[1] }
  const { body } = await server.post('/me/export', proof, { bearer: person.bearer })
  t.strictSame([...Value.Errors(ExportedDocument, body)], [])

  const places = Object.values(COVERED).flatMap((columns) => Object.values(columns))
  for (const place of places.filter((place) => !LEFT_OUT.has(place))) {
    const [list = '', field] = place.split('.')
    const rows = [body[list]].flat()
    t.ok(rows.length > 0, `${list} has a row`)
    if (field)
      t.ok(
        rows.every((row) => row[field] !== undefined),
        place,
      )
  }
})
