import { App } from 'aws-cdk-lib'
import { addStacks } from './app.ts'
import { readSettings } from './settings.ts'

const app = new App()
addStacks(app, readSettings(app.node.tryGetContext('settings') ?? 'settings.json'))
app.synth()
