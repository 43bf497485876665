import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LOG_PATTERNS } from '../app/parts/alarms.ts'
import { ACCESS } from '../app/parts/cache.ts'
import { faultsOf, readSettings } from '../app/settings.ts'
import { subjects } from '../app/stacks/delivery.ts'
import { exampleSettings, ofType, synthesise, TARGETS, text } from './templates.ts'

test('the example has no fault', () => {
  assert.deepEqual(faultsOf(exampleSettings), [])
})

test('without a file of settings nothing is deployed, not even the example', () => {
  assert.throws(() => readSettings('settings.missing.json'), /settings.missing.json is missing: copy/)
})

test('every fault of the settings is named', () => {
  const faults = faultsOf({
    ...exampleSettings,
    domainName: 'https://auth.example.com',
    imageTag: 'latest',
    certificateArn: 'arn:aws:acm:eu-central-1:123456789012:certificate/1',
    monthlyBudgetUsd: 0,
    environment: { SMTP_URL: 'smtps://user:password@example.com', PASSWORD_MIN_LENGTH: '14' },
  })
  assert.equal(faults.length, 5, faults.join('\n'))
  assert.match(faults.join(), /SMTP_URL is a secret/)
})

test('a certificate of your own takes the place of a zone', () => {
  const { hostedZone, ...rest } = exampleSettings
  const own = { ...rest, certificateArn: 'arn:aws:acm:eu-central-1:123456789012:certificate/1' }
  assert.deepEqual(faultsOf(own), [])
  const { template } = synthesise(own)
  for (const target of TARGETS) {
    assert.equal(ofType(template(target), 'AWS::CertificateManager::Certificate').length, 0)
    assert.equal(ofType(template(target), 'AWS::Route53::RecordSet').length, 0)
  }
})

test('GitHub signs one of two subjects, and the role believes the one of the repository', () => {
  const old = { owner: 'example', repository: 'ratchet', environment: 'production' }
  assert.deepEqual(subjects(old), ['repo:example/ratchet:environment:production'])
  assert.deepEqual(subjects({ ...old, ownerId: '12345', repositoryId: '67890' }), [
    'repo:example@12345/ratchet@67890:environment:production',
  ])
})

test('the role of the workflow is believed for one subject and one audience, without a wildcard', () => {
  const template = synthesise(exampleSettings).template('RatchetDelivery')
  const { github } = exampleSettings
  assert.ok(github)
  const [role] = ofType(template, 'AWS::IAM::Role')
  const [statement] = role?.AssumeRolePolicyDocument.Statement ?? []
  assert.equal(statement.Action, 'sts:AssumeRoleWithWebIdentity')
  assert.deepEqual(statement.Condition, {
    StringEquals: {
      'token.actions.githubusercontent.com:aud': 'sts.amazonaws.com',
      'token.actions.githubusercontent.com:sub': subjects(github),
    },
  })
})

test('a provider of GitHub that the account has already is not made again', () => {
  const { github } = exampleSettings
  assert.ok(github)
  const providerArn = 'arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com'
  const template = synthesise({ ...exampleSettings, github: { ...github, providerArn } }).template(
    'RatchetDelivery',
  )
  assert.equal(ofType(template, 'AWS::IAM::OIDCProvider').length, 0)
  const [role] = ofType(template, 'AWS::IAM::Role')
  assert.equal(role?.AssumeRolePolicyDocument.Statement[0].Principal.Federated, providerArn)
})

test('the rights in Redis are those of its documentation', () => {
  const documented = text('docs/redis.md')
    .match(/^ACL SETUSER ratchet on >password (.*)$/m)?.[1]
    ?.split(' ')
  assert.deepEqual(
    ACCESS.split(' ')
      .filter((right) => right !== 'on' && right !== '-@all')
      .sort(),
    [...(documented ?? []), '+scan'].sort(),
  )
})

test('the lines that alarms look for are those of the documentation', () => {
  const documented = text('docs/operations.md') + text('docs/deployment.md')
  for (const pattern of Object.values(LOG_PATTERNS))
    for (const [, word] of pattern.matchAll(/"([^"]+)"/g))
      assert.ok(documented.includes(`\`${word}\``) || documented.includes(`: ${word}\``), word)
})
