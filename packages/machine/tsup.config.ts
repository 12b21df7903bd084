import { type Build, library } from '../../tsup.base.ts'

const build: Build = library({ 'index': 'src/index.ts', 'testing': 'src/testing.ts' })
export default build
