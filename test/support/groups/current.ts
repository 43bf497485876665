import tap, { type Test } from 'tap'

// What a test file gets as `tap`: in a process of its own the root, in a group the test of that file.
let current: Test = tap

export { current as default }

export function setCurrent(t: Test): void {
  current = t
}
