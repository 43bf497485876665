import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { root } from './templates.ts'

const script = new URL('deploy/aws/run-command.sh', root).pathname
const OUTPUTS = {
  CommandTask: 'RatchetFargateCommand1',
  ClusterName: 'cluster',
  CommandSubnets: 'subnet-1,subnet-2',
  CommandSecurityGroup: 'sg-1',
  CommandPublicIp: 'DISABLED',
}
const TASK = {
  taskDefinitionArn: 'arn:1',
  revision: 1,
  status: 'ACTIVE',
  family: 'RatchetFargateCommand1',
  containerDefinitions: [{ name: 'server', image: 'old' }],
}

/** Runs the script with a program in the place of the AWS CLI, which answers as AWS would and writes down calls. */
async function run(t: TestContext, args: string[], { exitCode = 0, deployed = true } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-'))
  t.after(() => rm(folder, { recursive: true }))
  const outputs = Object.entries(OUTPUTS).map(([OutputKey, OutputValue]) => ({ OutputKey, OutputValue }))
  const answers = [
    ['describe-stacks', deployed ? JSON.stringify(outputs) : ''],
    ['describe-task-definition', JSON.stringify(TASK)],
    ['register-task-definition', 'arn:2'],
    ['run-task', 'arn:task'],
    ['tasks-stopped', ''],
    ['describe-tasks', JSON.stringify({ stoppedReason: 'done', containers: [{ exitCode }] })],
  ]
  const cases = answers.map(([call, answer]) => `  *" ${call} "*) echo '${answer}' ;;`).join('\n')
  await writeFile(
    join(folder, 'aws'),
    `#!/bin/sh
echo "$@" >>'${folder}/calls'
case " $* " in *" register-task-definition "*) cat >'${folder}/registered' ;; esac
${deployed ? '' : 'echo "Stack with id x does not exist" >&2; exit 254'}
case " $* " in
${cases}
esac
`,
  )
  await chmod(join(folder, 'aws'), 0o755)
  const env = { PATH: `${folder}:${process.env.PATH}` }
  const code = await new Promise<number>((resolve) => {
    execFile(script, args, { env }, (error) => resolve(Number(error?.code ?? 0)))
  })
  const calls = await readFile(join(folder, 'calls'), 'utf8')
  const registered = await readFile(join(folder, 'registered'), 'utf8').catch(() => 'null')
  return { code, calls, registered: JSON.parse(registered) }
}

test('a command runs as a task in the network of the stores', async (t) => {
  const { code, calls, registered } = await run(t, [
    'RatchetFargate',
    '-',
    'users',
    'show',
    'ann@example.com',
  ])
  assert.equal(code, 0)
  assert.equal(registered, null)
  assert.match(calls, /run-task --cluster cluster .*--task-definition RatchetFargateCommand1/)
  assert.match(
    calls,
    /"subnets":\["subnet-1","subnet-2"\],"securityGroups":\["sg-1"\],"assignPublicIp":"DISABLED"/,
  )
  assert.match(calls, /"command":\["node","dist\/cli\/main.js","users","show","ann@example.com"\]/)
})

test('a command runs with another image, and its failure is that of the script', async (t) => {
  const { code, calls, registered } = await run(t, ['RatchetFargate', 'new', 'migrate'], { exitCode: 3 })
  assert.equal(code, 3)
  assert.deepEqual(registered, {
    family: 'RatchetFargateCommand1',
    containerDefinitions: [{ name: 'server', image: 'new' }],
  })
  assert.match(calls, /run-task .*--task-definition arn:2/)
})

test('before the first deployment there is nothing to migrate', async (t) => {
  const { code, calls } = await run(t, ['RatchetFargate', 'new', 'migrate'], { deployed: false })
  assert.equal(code, 0)
  assert.doesNotMatch(calls, /run-task/)
})
