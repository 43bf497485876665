import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Stack } from 'aws-cdk-lib'
import { Topic } from 'aws-cdk-lib/aws-sns'
import { ACCESS } from '../app/parts/cache.ts'
import {
  environments,
  exampleSettings,
  functionsOf,
  ofType,
  synthesise,
  TARGETS,
  type Target,
  text,
} from './templates.ts'

/** How many proxies are between a browser and the first environment of each target. */
const PROXIES: Record<Target, string[]> = {
  RatchetExpress: ['1'],
  RatchetFargate: ['1'],
  RatchetBeanstalk: ['2'],
  RatchetAppRunner: ['1'],
  // Nobody reaches the function for the background work.
  RatchetLambda: ['0', '1'],
}
/** The roles of nodes, and that of commands. Roles that start nodes read no secret. */
const READERS: Record<Target, number> = {
  RatchetExpress: 2,
  RatchetFargate: 2,
  RatchetBeanstalk: 2,
  RatchetAppRunner: 2,
  RatchetLambda: 2,
}
/** Variables of the platform, which the server does not read. */
const OF_PLATFORM = [
  'AWS_LWA_HOST',
  'AWS_LWA_PORT',
  'AWS_LWA_READINESS_CHECK_PATH',
  'AWS_LWA_READINESS_CHECK_PORT',
  'AWS_LWA_PASS_THROUGH_PATH',
  'AWS_LWA_ERROR_STATUS_CODES',
]
const SECRETS = ['APP_SECRETS', 'DB_SECRET_JSON', 'REDIS_URL', 'SMTP_URL']

const small = synthesise(exampleSettings)
const large = synthesise({ ...exampleSettings, size: 'large' })

test('a finding of cdk-nag that nobody has acknowledged stops the synthesis', () => {
  assert.throws(
    () => synthesise(exampleSettings, (app) => void new Topic(new Stack(app, 'Careless'), 'WithoutTls')),
    /ValidationFailed/,
  )
})

for (const target of TARGETS) {
  describe(target, () => {
    const template = small.template(target)
    const found = environments(template, target)

    test('no secret is in an environment', () => {
      const known = new Set(
        text('.env.example')
          .match(/^(?:# )?([A-Z][A-Z0-9_]+)(?==)/gm)
          ?.map((name) => name.replace('# ', '')),
      )
      assert.ok(found.length > 0)
      for (const { plain, secret } of found) {
        assert.deepEqual(Object.keys(secret).sort(), SECRETS)
        for (const [name, value] of Object.entries(plain)) {
          assert.ok(known.has(name) || OF_PLATFORM.includes(name), `${name} is no setting`)
          assert.doesNotMatch(name, /SECRET|PASSWORD|_KEY$|REDIS_URL|SMTP_URL|DATABASE_URL/)
          assert.doesNotMatch(JSON.stringify(value), /resolve:secretsmanager/)
        }
      }
    })

    test('an environment counts the proxies, and verifies Postgres', () => {
      assert.deepEqual([...new Set(found.map(({ plain }) => plain.TRUST_PROXY))].sort(), PROXIES[target])
      for (const { plain } of found) {
        assert.equal(plain.PUBLIC_URL, 'https://auth.example.com')
        assert.equal(plain.DB_SSLMODE, 'verify-full')
        assert.equal(plain.DB_SSLROOTCERT, '/app/dist/rds-ca.pem')
        assert.equal(plain.NODE_ENV, undefined)
      }
    })

    test('Postgres is private, encrypted, doubled, protected and backed up', () => {
      const [database, ...others] = ofType(template, 'AWS::RDS::DBInstance')
      assert.equal(others.length, 0)
      assert.equal(database?.StorageEncrypted, true)
      assert.equal(database?.PubliclyAccessible, false)
      assert.equal(database?.DeletionProtection, true)
      assert.equal(database?.MultiAZ, true)
      assert.equal(database?.BackupRetentionPeriod, 14)
      assert.equal(database?.ManageMasterUserPassword, true)
      assert.equal(database?.MasterUserPassword, undefined)
      const [parameters] = ofType(template, 'AWS::RDS::DBParameterGroup')
      assert.equal(parameters?.Parameters['rds.force_ssl'], '1')
      const resource = Object.values(template.Resources).find(({ Type }) => Type === 'AWS::RDS::DBInstance')
      assert.equal(resource?.DeletionPolicy, 'Snapshot')
    })

    test('Redis is a replication group with TLS and a user of few rights', () => {
      const [group] = ofType(template, 'AWS::ElastiCache::ReplicationGroup')
      assert.equal(group?.TransitEncryptionEnabled, true)
      assert.equal(group?.TransitEncryptionMode, 'required')
      assert.equal(group?.AtRestEncryptionEnabled, true)
      assert.equal(group?.AutomaticFailoverEnabled, true)
      assert.equal(ofType(template, 'AWS::ElastiCache::ServerlessCache').length, 0)
      const users = ofType(template, 'AWS::ElastiCache::User')
      assert.deepEqual(users.map(({ UserName, AccessString }) => [UserName, AccessString]).sort(), [
        ['default', 'off -@all'],
        ['ratchet', ACCESS],
      ])
      for (const { AuthenticationMode } of users)
        assert.match(JSON.stringify(AuthenticationMode.Passwords), /resolve:secretsmanager/)
      const [parameters] = ofType(template, 'AWS::ElastiCache::ParameterGroup')
      assert.equal(parameters?.Properties['maxmemory-policy'], 'noeviction')
    })

    test('every log ends', () => {
      const groups = ofType(template, 'AWS::Logs::LogGroup')
      assert.ok(groups.length > 0)
      for (const { RetentionInDays } of groups) assert.ok(RetentionInDays > 0)
    })

    test('stores are open to nodes alone', () => {
      const groups = Object.entries(template.Resources).filter(
        ([id, { Type }]) => Type === 'AWS::EC2::SecurityGroup' && /Network(Database|Cache)/.test(id),
      )
      assert.equal(groups.length, 2)
      for (const [, { Properties }] of groups) assert.equal(Properties?.SecurityGroupIngress, undefined)
      const rules = ofType(template, 'AWS::EC2::SecurityGroupIngress').filter(({ ToPort }) =>
        [5432, 6379].includes(ToPort),
      )
      assert.equal(rules.length, 2)
      for (const rule of rules) assert.match(JSON.stringify(rule.SourceSecurityGroupId), /NetworkNodes/)
    })

    test('alarms reach a person: 5xx, latency, stores, mail, passwords, and the bill', () => {
      const alarms = Object.entries(template.Resources).filter(
        ([, { Type }]) => Type === 'AWS::CloudWatch::Alarm',
      )
      const names = alarms.map(([id]) => id).join()
      for (const name of [
        'ServerErrors',
        'Slow',
        'StoreUnavailable',
        'MailDoesNotLeave',
        'OutboxLate',
        'PasswordRefused',
        'DatabaseDisk',
        'CacheMemory',
      ])
        assert.match(names, new RegExp(`Alarms${name}`))
      for (const [, { Properties }] of alarms) assert.equal(Properties?.AlarmActions.length, 1)
      assert.equal(ofType(template, 'AWS::Budgets::Budget').length, 1)
      assert.equal(ofType(template, 'AWS::SNS::Subscription')[0]?.Endpoint, exampleSettings.alarmEmail)
    })

    test('nodes read a password that is refused again, or are replaced where they cannot', () => {
      const rules = ofType(template, 'AWS::Events::Rule').map(({ EventPattern }) => EventPattern)
      const expected = ['AWS Service Event via CloudTrail', 'CloudWatch Alarm State Change']
      assert.deepEqual(
        rules.map((rule) => rule['detail-type'][0]).sort(),
        target === 'RatchetBeanstalk' ? expected : [],
      )
    })

    test('each role that reads secrets reads exactly those of the server', () => {
      const reading = ofType(template, 'AWS::IAM::Policy')
        .map(({ PolicyDocument }) =>
          PolicyDocument.Statement.filter(({ Action }: { Action: string | string[] }) =>
            [Action].flat().includes('secretsmanager:GetSecretValue'),
          ).flatMap(({ Resource }: { Resource: unknown }) => [Resource].flat()),
        )
        .filter((resources) => resources.length > 0)
      assert.equal(reading.length, READERS[target])
      for (const resources of reading) {
        const named = resources.map((resource: unknown) => JSON.stringify(resource))
        assert.equal(new Set(named).size, SECRETS.length)
        assert.doesNotMatch(named.join(), /\*/)
      }
    })

    test('no role may do everything, or pass on roles', () => {
      const statements = ofType(template, 'AWS::IAM::Policy').flatMap(
        ({ PolicyDocument }) => PolicyDocument.Statement,
      )
      assert.ok(statements.length > 0)
      for (const { Action } of statements)
        for (const action of [Action].flat()) {
          assert.notEqual(action, '*')
          assert.notEqual(action, 'iam:PassRole')
          assert.doesNotMatch(action, /^secretsmanager:(?!GetSecretValue$|DescribeSecret$)/)
        }
    })
  })
}

test('load balancers and platforms probe readiness', () => {
  const paths = {
    fargate: ofType(small.template('RatchetFargate'), 'AWS::ElasticLoadBalancingV2::TargetGroup')[0]
      ?.HealthCheckPath,
    express: ofType(small.template('RatchetExpress'), 'AWS::ECS::ExpressGatewayService')[0]?.HealthCheckPath,
    appRunner: ofType(small.template('RatchetAppRunner'), 'AWS::AppRunner::Service')[0]
      ?.HealthCheckConfiguration.Path,
    beanstalk: ofType(
      small.template('RatchetBeanstalk'),
      'AWS::ElasticBeanstalk::Environment',
    )[0]?.OptionSettings.find(({ OptionName }: { OptionName: string }) => OptionName === 'HealthCheckPath')
      ?.Value,
  }
  assert.deepEqual(paths, {
    fargate: '/readyz',
    express: '/readyz',
    appRunner: '/readyz',
    beanstalk: '/readyz',
  })
})

test('the load balancer of Fargate lets go of a connection before a node does, and speaks TLS alone', () => {
  const template = small.template('RatchetFargate')
  const [balancer] = ofType(template, 'AWS::ElasticLoadBalancingV2::LoadBalancer')
  const attributes = Object.fromEntries(
    balancer?.LoadBalancerAttributes.map(({ Key, Value }: { Key: string; Value: string }) => [Key, Value]),
  )
  const keepAlive = Number(text('.env.example').match(/KEEP_ALIVE_SECONDS=(\d+)/)?.[1])
  assert.ok(Number(attributes['idle_timeout.timeout_seconds']) < keepAlive)
  assert.equal(attributes['routing.http.xff_header_processing.mode'], 'append')
  assert.equal(attributes['deletion_protection.enabled'], 'true')
  const listeners = ofType(template, 'AWS::ElasticLoadBalancingV2::Listener')
  for (const { Protocol, DefaultActions } of listeners)
    assert.equal(DefaultActions[0].Type, Protocol === 'HTTPS' ? 'forward' : 'redirect')
})

test('a node on Fargate has the time to stop, a root that it cannot write to, and two of its kind', () => {
  const template = small.template('RatchetFargate')
  for (const { ContainerDefinitions } of ofType(template, 'AWS::ECS::TaskDefinition')) {
    const node = ContainerDefinitions.find(({ Name }: { Name: string }) => Name === 'server')
    const drain = node.Environment.find(({ Name }: { Name: string }) => Name === 'DRAIN_SECONDS').Value
    assert.ok(node.StopTimeout >= Number(drain) + 15)
    assert.equal(node.ReadonlyRootFilesystem, true)
  }
  const [scaling] = ofType(template, 'AWS::ApplicationAutoScaling::ScalableTarget')
  assert.equal(scaling?.MinCapacity, 2)
})

test('functions leave Postgres enough connections', () => {
  // Memory / 9,531,392, less what RDS keeps for itself: db.t4g.small has 2 GiB, db.m7g.large 8 GiB.
  for (const [size, most] of [
    [small, 190],
    [large, 850],
  ] as const) {
    const functions = functionsOf(size.template('RatchetLambda'))
    assert.equal(functions.length, 2)
    const connections = functions.map(
      ({ ReservedConcurrentExecutions, Environment }) =>
        // One for the heartbeat and one for the poll besides.
        ReservedConcurrentExecutions * (Number(Environment.Variables.DB_POOL_SIZE) + 2),
    )
    assert.ok(connections.reduce((sum, each) => sum + each, 0) < most)
  }
})

test('on Lambda nothing is left to do when a function is frozen, and a schedule does the rest', () => {
  const template = small.template('RatchetLambda')
  const functions = functionsOf(template)
  for (const { Environment } of functions) {
    assert.equal(Environment.Variables.BACKGROUND_WORK, 'scheduled')
    assert.equal(Environment.Variables.LEDGER_FLUSH_MS, '0')
  }
  assert.equal(ofType(template, 'AWS::ECS::Service').length, 0)
  const [worker, ...others] = functions.filter(({ Environment }) => Environment.Variables.METRICS_PORT)
  assert.equal(others.length, 0)
  assert.equal(worker?.ReservedConcurrentExecutions, 1)
  // One at a time, or many would wait for each other.
  assert.deepEqual(functions.map(({ Environment }) => Environment.Variables.RUN_MIGRATIONS).sort(), [
    'false',
    'true',
  ])
  const { METRICS_PORT, AWS_LWA_PORT, AWS_LWA_PASS_THROUGH_PATH: path } = worker?.Environment.Variables ?? {}
  assert.equal(AWS_LWA_PORT, METRICS_PORT)
  assert.match(text('src/features/operations/work.routes.ts'), new RegExp(`app\\.post\\(\\s*'${path}'`))
  const [schedule] = ofType(template, 'AWS::Scheduler::Schedule')
  assert.equal(schedule?.ScheduleExpression, 'rate(1 minute)')
  assert.match(JSON.stringify(schedule?.Target.Arn), /Worker/)
  assert.equal(schedule?.Target.RetryPolicy.MaximumRetryAttempts, 0)
  // What API Gateway may call is the other one.
  for (const { FunctionName } of ofType(template, 'AWS::Lambda::Permission'))
    assert.doesNotMatch(JSON.stringify(FunctionName), /Worker/)
  for (const { IntegrationUri } of ofType(template, 'AWS::ApiGatewayV2::Integration'))
    assert.doesNotMatch(JSON.stringify(IntegrationUri), /Worker/)
  const alarms = Object.keys(template.Resources).join()
  for (const name of ['WorkFails', 'WorkIsMissing']) assert.match(alarms, new RegExp(`Alarms${name}`))
})

test('the large size has more of everything', () => {
  const database = (of: typeof small) =>
    ofType(of.template('RatchetFargate'), 'AWS::RDS::DBInstance')[0]?.DBInstanceClass
  assert.notEqual(database(small), database(large))
  assert.equal(ofType(large.template('RatchetFargate'), 'AWS::EC2::NatGateway').length, 2)
})

test('a load balancer is open on the ports on which it listens', () => {
  const open = (target: Target) =>
    ofType(small.template(target), 'AWS::EC2::SecurityGroup')
      .flatMap(({ SecurityGroupIngress }) => SecurityGroupIngress ?? [])
      .map(({ FromPort }) => FromPort)
  assert.deepEqual(open('RatchetFargate'), [80, 443])
  // Beanstalk has no listener that would lead to https.
  assert.deepEqual(open('RatchetBeanstalk'), [443])
})
