import { command } from './start/load.ts'

command(__dirname).beProcessor()
