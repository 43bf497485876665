import { aws_logs as logs, RemovalPolicy } from 'aws-cdk-lib'
import type { Construct } from 'constructs'

/** Where nodes write. Lines have addresses of people, so they end after 90 days. */
export const nodeLog = (scope: Construct, id = 'Log', logGroupName?: string): logs.LogGroup =>
  new logs.LogGroup(scope, id, {
    retention: logs.RetentionDays.THREE_MONTHS,
    removalPolicy: RemovalPolicy.DESTROY,
    ...(logGroupName && { logGroupName }),
  })
