#!/usr/bin/env node
'use strict'
// Stands here, not in dist, so that a fresh installation can link it before anything is built.
require('../dist/cli.cjs')
