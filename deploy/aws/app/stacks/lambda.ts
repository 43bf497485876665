import {
  aws_apigatewayv2 as apigateway,
  CfnOutput,
  aws_cloudwatch as cloudwatch,
  Duration,
  aws_ecr as ecr,
  aws_iam as iam,
  aws_apigatewayv2_integrations as integrations,
  aws_lambda as lambda,
  aws_route53 as route53,
  aws_route53_targets as route53Targets,
  Stack,
  type StackProps,
  aws_scheduler as scheduler,
} from 'aws-cdk-lib'
import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway'
import type { Construct } from 'constructs'
import { acknowledge } from '../parts/acknowledge.ts'
import { Alarms } from '../parts/alarms.ts'
import { commandTask, nodeCluster } from '../parts/commands.ts'
import { nodeLog } from '../parts/log.ts'
import { PublicName } from '../parts/public-name.ts'
import { serviceRole } from '../parts/roles.ts'
import { addServer, LIVENESS, SERVER_PORT } from '../parts/server.ts'
import type { Settings } from '../settings.ts'

/** API Gateway; the adapter beside the server passes on what it says. */
const PROXIES = 1
const COMMANDS = { cpu: 256, memory: 512 }
/** Where `POST /work` is, which a request from outside does not reach. */
const WORK = { port: 9464, path: '/work' }
/** What every function gets; the two connections of heartbeat and poll come on top. */
const FREEZING = { BACKGROUND_WORK: 'scheduled', LEDGER_FLUSH_MS: '0', DB_POOL_SIZE: '2' }
const MINUTE = Duration.minutes(1)

/**
 * Lambda behind API Gateway, and a second function that a schedule calls every minute. A function is frozen between
 * requests, so the second one sends the mail, deletes old rows, and does whatever else a node does beside requests; it
 * also applies the migrations.
 */
export class LambdaStack extends Stack {
  constructor(scope: Construct, id: string, settings: Settings, props?: StackProps) {
    super(scope, id, props)
    const { size, network, server } = addServer(this, settings)
    const log = nodeLog(this)
    commandTask(this, nodeCluster(this, network), network, {
      ...{ settings, server, log, proxies: 0 },
      size: COMMANDS,
    })

    const role = serviceRole(this, 'Role', 'lambda.amazonaws.com', {
      'service-role/AWSLambdaVPCAccessExecutionRole':
        'Network interfaces of a function know no resource before they are made.',
    })
    const secrets = server.secretsFor(role)
    const images = ecr.Repository.fromRepositoryName(this, 'Images', settings.repositoryName)
    const common: Omit<lambda.DockerImageFunctionProps, 'environment'> = {
      code: lambda.DockerImageCode.fromEcr(images, { tagOrDigest: settings.lambdaImageTag }),
      architecture: lambda.Architecture.ARM_64,
      role,
      // One core: a password takes 10 ms of it.
      memorySize: 1769,
      vpc: network.vpc,
      vpcSubnets: network.nodeSubnets,
      securityGroups: [network.nodes],
      logGroup: log,
    }
    const environment = (proxies: number) => ({
      ...server.environment(proxies),
      ...FREEZING,
      RUN_MIGRATIONS: 'false',
      DRAIN_SECONDS: '0',
      HOST: '127.0.0.1',
      AWS_LWA_HOST: '127.0.0.1',
      AWS_LWA_READINESS_CHECK_PATH: LIVENESS,
      ...secrets,
    })
    const node = new lambda.DockerImageFunction(this, 'Function', {
      ...common,
      timeout: Duration.seconds(20),
      reservedConcurrentExecutions: size.lambdaConcurrency,
      environment: environment(PROXIES),
    })
    const worker = new lambda.DockerImageFunction(this, 'Worker', {
      ...common,
      // The work takes 25 seconds at most; the rest is for a start.
      timeout: MINUTE,
      reservedConcurrentExecutions: 1,
      // The next minute tries again.
      retryAttempts: 0,
      maxEventAge: MINUTE,
      environment: {
        ...environment(0),
        // One that takes longer than a function may run is rolled back: docs/operating/aws.md.
        RUN_MIGRATIONS: 'true',
        METRICS_PORT: String(WORK.port),
        AWS_LWA_PORT: String(WORK.port),
        AWS_LWA_READINESS_CHECK_PORT: String(SERVER_PORT),
        AWS_LWA_PASS_THROUGH_PATH: WORK.path,
        // Other answers than 200 are errors of the function, which an alarm counts.
        AWS_LWA_ERROR_STATUS_CODES: '400-599',
      },
    })
    this.everyMinute(worker)
    this.gateway(node, settings)

    const alarms = new Alarms(this, 'Alarms', log, server, settings)
    alarms.add('Throttled', {
      metric: node.metricThrottles({ period: Duration.minutes(1) }),
      threshold: 1,
      periods: 3,
      what: 'Requests are refused: raise lambdaConcurrency, and what Postgres allows in connections',
    })
    alarms.add('WorkFails', {
      metric: worker.metricErrors({ period: MINUTE }),
      threshold: 1,
      periods: 3,
      what: 'A part of the background work fails, such as mail: the log of the function Worker says why',
    })
    alarms.add('WorkIsMissing', {
      metric: worker.metricInvocations({ period: Duration.minutes(5) }),
      threshold: 0,
      atMost: true,
      periods: 1,
      what: 'The schedule does not call the function Worker: no mail leaves, and nothing is deleted',
      missing: cloudwatch.TreatMissingData.BREACHING,
    })
  }

  private everyMinute(worker: lambda.IFunction): void {
    const invoke = new iam.PolicyStatement({
      actions: ['lambda:InvokeFunction'],
      resources: [worker.functionArn],
    })
    const caller = new iam.Role(this, 'Scheduler', {
      assumedBy: new iam.ServicePrincipal('scheduler.amazonaws.com'),
      path: '/ratchet/',
      inlinePolicies: { Invoke: new iam.PolicyDocument({ statements: [invoke] }) },
    })
    new scheduler.CfnSchedule(this, 'EveryMinute', {
      scheduleExpression: 'rate(1 minute)',
      flexibleTimeWindow: { mode: 'OFF' },
      target: {
        arn: worker.functionArn,
        roleArn: caller.roleArn,
        retryPolicy: { maximumRetryAttempts: 0, maximumEventAgeInSeconds: MINUTE.toSeconds() },
      },
    })
  }

  private gateway(node: lambda.IFunction, settings: Settings): void {
    const name = new PublicName(this, 'PublicName', settings)
    const domain = new apigateway.DomainName(this, 'Domain', {
      domainName: settings.domainName,
      certificate: name.certificate,
      securityPolicy: apigateway.SecurityPolicy.TLS_1_2,
    })
    const api = new apigateway.HttpApi(this, 'Api', {
      // The other name would be another origin for cookies and passkeys.
      disableExecuteApiEndpoint: true,
      createDefaultStage: false,
      defaultIntegration: new integrations.HttpLambdaIntegration('Node', node),
    })
    acknowledge(api, {
      APIG4: 'The server itself says who may call what; people sign in without being known.',
    })
    const stage = new apigateway.HttpStage(this, 'Stage', {
      httpApi: api,
      autoDeploy: true,
      domainMapping: { domainName: domain },
      throttle: { rateLimit: 500, burstLimit: 200 },
      accessLogSettings: {
        destination: new apigateway.LogGroupLogDestination(nodeLog(this, 'AccessLog')),
        // Without paths: those of mailed links have secrets behind them.
        format: AccessLogFormat.custom(
          JSON.stringify({
            request: '$context.requestId',
            ip: '$context.identity.sourceIp',
            method: '$context.httpMethod',
            status: '$context.status',
            ms: '$context.responseLatency',
            fault: '$context.integrationErrorMessage',
          }),
        ),
      },
    })
    name.leadTo(
      route53.RecordTarget.fromAlias(
        new route53Targets.ApiGatewayv2DomainProperties(
          domain.regionalDomainName,
          domain.regionalHostedZoneId,
        ),
      ),
    )
    new CfnOutput(this, 'DomainTarget', { value: domain.regionalDomainName })
    new CfnOutput(this, 'StageName', { value: stage.stageName })
  }
}
