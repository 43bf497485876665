import { parentPort, workerData } from 'node:worker_threads'
import { useSession } from './session.mjs'

parentPort.postMessage(await useSession(workerData))
