import {
  aws_apigatewayv2 as apigateway,
  CfnOutput,
  Duration,
  aws_ecr as ecr,
  aws_ecs as ecs,
  aws_iam as iam,
  aws_apigatewayv2_integrations as integrations,
  aws_lambda as lambda,
  aws_route53 as route53,
  aws_route53_targets as route53Targets,
  Stack,
  type StackProps,
} from 'aws-cdk-lib'
import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway'
import type { Construct } from 'constructs'
import { acknowledge } from '../parts/acknowledge.ts'
import { Alarms } from '../parts/alarms.ts'
import { commandTask, nodeCluster } from '../parts/commands.ts'
import { nodeLog } from '../parts/log.ts'
import { Network } from '../parts/network.ts'
import { PublicName } from '../parts/public-name.ts'
import { LIVENESS, Server } from '../parts/server.ts'
import { serverTask } from '../parts/task.ts'
import type { Settings } from '../settings.ts'
import { SIZES } from '../sizes.ts'

/** API Gateway; the adapter beside the server passes on what it says. */
const PROXIES = 1
const BACKGROUND = { cpu: 256, memory: 512 }

/**
 * Lambda behind API Gateway, and one small node on Fargate. A function is frozen between requests, so that node sends
 * the mail, deletes old rows and brings endings to Redis; it also applies the migrations.
 */
export class LambdaStack extends Stack {
  constructor(scope: Construct, id: string, settings: Settings, props?: StackProps) {
    super(scope, id, props)
    const size = SIZES[settings.size]
    const network = new Network(this, 'Network', { natGateways: size.natGateways })
    const server = new Server(this, 'Server', network, settings)
    const log = nodeLog(this)

    const cluster = nodeCluster(this, network)
    const common = { settings, server, log, proxies: 0 }
    const background = new ecs.FargateService(this, 'Background', {
      cluster,
      taskDefinition: serverTask(this, 'Node', { ...common, size: BACKGROUND }),
      vpcSubnets: network.nodeSubnets,
      securityGroups: [network.nodes],
      desiredCount: 1,
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { rollback: true },
    })
    background.node.addDependency(server)
    commandTask(this, cluster, network, { ...common, size: BACKGROUND })

    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
      path: '/ratchet/',
      managedPolicies: [
        iam.ManagedPolicy.fromAwsManagedPolicyName('service-role/AWSLambdaVPCAccessExecutionRole'),
      ],
    })
    acknowledge(role, {
      'IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole]':
        'Network interfaces of a function know no resource before they are made.',
    })
    const images = ecr.Repository.fromRepositoryName(this, 'Images', settings.repositoryName)
    const node = new lambda.DockerImageFunction(this, 'Function', {
      code: lambda.DockerImageCode.fromEcr(images, { tagOrDigest: settings.lambdaImageTag }),
      architecture: lambda.Architecture.ARM_64,
      role,
      // One core: a password takes 10 ms of it.
      memorySize: 1769,
      timeout: Duration.seconds(20),
      vpc: network.vpc,
      vpcSubnets: network.nodeSubnets,
      securityGroups: [network.nodes],
      reservedConcurrentExecutions: size.lambdaConcurrency,
      logGroup: log,
      environment: {
        ...server.environment(PROXIES),
        ...server.secretsFor(role),
        RUN_MIGRATIONS: 'false',
        // A frozen node writes nothing: what is written soon is written before that.
        LEDGER_FLUSH_MS: '50',
        DRAIN_SECONDS: '0',
        AWS_LWA_HOST: '127.0.0.1',
        AWS_LWA_READINESS_CHECK_PATH: LIVENESS,
      },
    })
    // It applies the migrations, without which the function does not start.
    node.node.addDependency(background)
    this.gateway(node, settings)

    const alarms = new Alarms(this, 'Alarms', log, server, settings)
    alarms.add('Throttled', {
      metric: node.metricThrottles({ period: Duration.minutes(1) }),
      threshold: 1,
      periods: 3,
      what: 'Requests are refused: raise lambdaConcurrency, and what Postgres allows in connections',
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
