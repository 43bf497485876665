import { type TProperties, type TSchema, type TSchemaOptions, Type } from 'typebox'
import { strict } from '../../http/schemas.ts'

const Time = Type.String({ format: 'date-time' })
const orNull = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()])
const Text = Type.String()
const fields = <Fields extends TProperties>(properties: Fields, options: TSchemaOptions = {}) =>
  Type.Object(properties, { ...strict, ...options })

/** Everything that is kept of an account, but for secrets, hashes and other people's data. */
export const ExportedDocument = fields(
  {
    exported_at: Time,
    account: fields({
      id: Text,
      email: Text,
      email_verified_at: orNull(Time),
      name: orNull(Text),
      locale: orNull(Text),
      metadata: orNull(Type.Unknown({ description: 'What an import brought along' })),
      roles: Type.Array(Text),
      has_password: Type.Boolean(),
      security_version: Type.Integer({ description: 'Rises with the password, roles and factors' }),
      disabled_at: orNull(Time),
      reset_required_at: orNull(Time),
      created_at: Time,
      updated_at: Time,
    }),
    authenticator_app: orNull(
      fields({
        created_at: Time,
        confirmed_at: orNull(Time),
        last_used_at: orNull(Type.String({ format: 'date-time', description: 'To half a minute' })),
      }),
    ),
    passkeys: Type.Array(
      fields({
        id: Text,
        credential_id: Text,
        name: Text,
        backup_eligible: orNull(Type.Boolean()),
        backed_up: Type.Boolean(),
        transports: Type.Array(Text),
        signature_counter: Type.Integer(),
        created_at: Time,
        last_used_at: orNull(Time),
      }),
    ),
    recovery_codes: fields({ left: Type.Integer(), created_at: orNull(Time) }),
    factors_reset: orNull(fields({ requested_at: Time, effective_at: Time })),
    mail_suppression: orNull(fields({ reason: Text, at: Time })),
    grants: Type.Array(
      fields({
        client_id: Text,
        resource: Type.String({ description: 'Empty for OpenID Connect alone' }),
        scopes: Type.Array(Text),
        created_at: Time,
        updated_at: Time,
      }),
    ),
    sessions: Type.Array(
      fields({
        id: Text,
        client_id: Text,
        resource: orNull(Type.String({ description: 'Of a third party' })),
        allowed_in_session: orNull(Text),
        transport: Text,
        scope: Text,
        amr: Type.Array(Text),
        user_agent: orNull(Text),
        ip: orNull(Text),
        refreshes: Type.Integer(),
        last_refresh_at: Time,
        signed_in_at: Time,
        created_at: Time,
        last_used_at: Time,
        idle_expires_at: Time,
        absolute_expires_at: Time,
        ended_at: orNull(Time),
        ended_reason: orNull(Text),
      }),
    ),
    known_devices: Type.Array(
      fields({ has_signed_in: Type.Boolean(), created_at: Time, last_used_at: Time }),
    ),
    pending_links: Type.Array(
      fields({ id: Text, purpose: Text, new_email: orNull(Text), created_at: Time, expires_at: Time }),
    ),
    failed_guesses: Type.Array(
      fields({
        what: Text,
        counted_by: Text,
        failures: Type.Integer(),
        resets_at: orNull(Time),
        updated_at: Time,
      }),
    ),
    mails: Type.Array(
      fields({
        id: Text,
        topic: Text,
        status: Type.String({ description: '`waiting`, `sent` or `given_up`' }),
        attempts: Type.Integer(),
        created_at: Time,
        next_attempt_at: orNull(Time),
        sent_at: orNull(Time),
        gave_up_at: orNull(Time),
      }),
    ),
    events: Type.Array(
      fields({
        id: Text,
        at: Time,
        type: Text,
        outcome: Text,
        reason: orNull(Text),
        by: orNull(Text),
        session_id: orNull(Text),
        client_id: orNull(Text),
        ip: orNull(Text),
        user_agent: orNull(Text),
        request_id: orNull(Text),
      }),
    ),
    complete: Type.Literal(true, { description: 'The last member: a document without it was cut off' }),
  },
  { title: 'ExportedAccount' },
)
