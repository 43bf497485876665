import { Duration, aws_ecr as ecr, aws_ecs as ecs, type aws_logs as logs } from 'aws-cdk-lib'
import type { Construct } from 'constructs'
import type { Settings } from '../settings.ts'
import { acknowledge } from './acknowledge.ts'
import { mayReadRegistry, serviceRole } from './roles.ts'
import { LIVENESS, SERVER_PORT, type Server, STOP_SECONDS } from './server.ts'

export interface TaskProps {
  settings: Settings
  server: Server
  log: logs.ILogGroup
  size: { cpu: number; memory: number }
  /** How many proxies are between a browser and the node. */
  proxies: number
  /** Instead of the server: a command of `ratchet`. */
  command?: string[]
  environment?: Record<string, string>
}

/** A task of Fargate that runs the image, with a role that may read its secrets and nothing else. */
export function serverTask(scope: Construct, id: string, props: TaskProps): ecs.FargateTaskDefinition {
  const { settings, server, log, size, proxies, command, environment } = props
  const executionRole = serviceRole(scope, `${id}Execution`, SERVICE)
  mayReadRegistry(executionRole)
  const role = serviceRole(scope, `${id}Role`, SERVICE)
  const task = new ecs.FargateTaskDefinition(scope, id, {
    cpu: size.cpu,
    memoryLimitMiB: size.memory,
    runtimePlatform: {
      cpuArchitecture: ecs.CpuArchitecture.ARM64,
      operatingSystemFamily: ecs.OperatingSystemFamily.LINUX,
    },
    executionRole,
    taskRole: role,
  })
  task.addContainer('server', {
    image: serverImage(scope, `${id}Repository`, settings.repositoryName, settings.imageTag),
    logging: ecs.LogDrivers.awsLogs({ logGroup: log, streamPrefix: id.toLowerCase() }),
    environment: { ...server.environment(proxies), ...server.secretsFor(role), ...environment },
    readonlyRootFilesystem: true,
    stopTimeout: Duration.seconds(STOP_SECONDS),
    ...(command
      ? { command: ['node', 'dist/cli/main.js', ...command] }
      : {
          portMappings: [{ containerPort: SERVER_PORT }],
          // ECS does not read the image's own.
          healthCheck: {
            command: ['CMD', 'node', '-e', ALIVE],
            interval: Duration.seconds(10),
            timeout: Duration.seconds(3),
            // Migrations at the start may take a minute.
            startPeriod: Duration.seconds(120),
            retries: 3,
          },
        }),
  })
  acknowledge(task, {
    ECS2: 'The environment has no secret: a test compares it with the list of what may be in it.',
  })
  return task
}

const ALIVE = `fetch('http://127.0.0.1:${SERVER_PORT}${LIVENESS}').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))`

const SERVICE = 'ecs-tasks.amazonaws.com'

/** An image of this account's registry, by tag or digest. */
export const serverImage = (scope: Construct, id: string, repository: string, tagOrDigest: string) =>
  ecs.ContainerImage.fromEcrRepository(ecr.Repository.fromRepositoryName(scope, id, repository), tagOrDigest)
