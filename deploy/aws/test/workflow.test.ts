import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TARGETS, text } from './templates.ts'

const workflow = text('.github/workflows/deploy-aws.yml')

test('the workflow offers every target', () => {
  const offered = workflow.match(/options: \[(.*)\]/)?.[1]?.split(', ')
  assert.deepEqual(offered, [...TARGETS])
})

test('the workflow uses pinned actions, and has no key of AWS', () => {
  const actions = [...workflow.matchAll(/uses: (\S+)/g)].map(([, action]) => action)
  assert.ok(actions.length > 0)
  for (const action of actions) assert.match(action ?? '', /@[0-9a-f]{40}$/)
  assert.match(workflow, /id-token: write/)
  assert.doesNotMatch(workflow, /aws-secret-access-key/)
})
