import {
  aws_cloudwatch as cloudwatch,
  Duration,
  aws_ecs as ecs,
  aws_iam as iam,
  type aws_logs as logs,
} from 'aws-cdk-lib'
import { acknowledge } from './acknowledge.ts'
import type { Alarms } from './alarms.ts'

/** The port of `/metrics`, which only the agent in the same task reaches. */
export const METRICS_PORT = 9464
const NAMESPACE = 'Ratchet'

/** Puts the CloudWatch agent beside a node: it reads the metrics, and writes those that alarms need. */
export function addMetricsAgent(task: ecs.FargateTaskDefinition, image: string, log: logs.ILogGroup): void {
  task.addContainer('metrics', {
    image: ecs.ContainerImage.fromRegistry(image),
    // A node serves without it.
    essential: false,
    memoryReservationMiB: 64,
    logging: ecs.LogDrivers.awsLogs({ logGroup: log, streamPrefix: 'metrics' }),
    environment: {
      PROMETHEUS_CONFIG_CONTENT: JSON.stringify({
        global: { scrape_interval: '1m', scrape_timeout: '10s' },
        scrape_configs: [
          { job_name: 'ratchet', static_configs: [{ targets: [`127.0.0.1:${METRICS_PORT}`] }] },
        ],
      }),
      CW_CONFIG_CONTENT: JSON.stringify({
        logs: {
          metrics_collected: {
            prometheus: {
              log_group_name: log.logGroupName,
              prometheus_config_path: 'env:PROMETHEUS_CONFIG_CONTENT',
              emf_processor: {
                metric_namespace: NAMESPACE,
                metric_declaration: [
                  {
                    source_labels: ['job'],
                    label_matcher: '^ratchet$',
                    dimensions: [['job'], ['job', 'store'], ['job', 'queue']],
                    metric_selectors: [
                      '^ratchet_outbox_oldest_seconds$',
                      '^ratchet_store_available$',
                      '^ratchet_dropped_total$',
                      '^ratchet_password_hash_queue$',
                    ],
                  },
                ],
              },
            },
          },
        },
      }),
    },
  })
  // The agent writes one group of logs, from which CloudWatch makes the metrics.
  log.grant(task.taskRole, 'logs:CreateLogStream', 'logs:PutLogEvents', 'logs:DescribeLogStreams')
  task.taskRole.addToPrincipalPolicy(
    new iam.PolicyStatement({ actions: ['logs:DescribeLogGroups'], resources: ['*'] }),
  )
  acknowledge(task.taskRole, { 'IAM5[Resource::*]': 'logs:DescribeLogGroups knows no resource.' })
}

/** Alarms about what only the metrics say. */
export function addMetricsAlarms(alarms: Alarms): void {
  const metric = (metricName: string, statistic: string, labels: Record<string, string> = {}) =>
    new cloudwatch.Metric({
      namespace: NAMESPACE,
      metricName,
      statistic,
      period: Duration.minutes(1),
      dimensionsMap: { job: 'ratchet', ...labels },
    })
  for (const store of ['postgres', 'redis']) {
    alarms.add(`NoNodeUses-${store}`, {
      metric: metric('ratchet_store_available', 'Maximum', { store }),
      threshold: 0,
      atMost: true,
      periods: 2,
      what: `No node can use ${store}: docs/operating/alerts.md#ratchetstoreunavailable`,
    })
  }
}
