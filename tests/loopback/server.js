// A stock LoopBack 3 server with the routes of the Space Invoices v1 API and a memory connector.
// The filter engine is LoopBack's own: that is what the simulator is held to.
// Usage: node server.js [port] [token]; prints "listening <port>".
'use strict';

const fs = require('fs');
const path = require('path');
const loopback = require('loopback');

const EXAMPLES = path.join(__dirname, '..', '..', 'poller', 'examples');
const PAGE_CAP = 100;
const TOKEN = process.argv[3] || 'test-token';

const DATES = new Set(('activatedAt activeFrom activeTo cancelledAt completedAt createdAt date dateDue dateFirst ' +
  'datePaid dateReceived dateService dateServiceTo dateValidTill deactivatedAt deletedAt fulfilledAt issuedAt ' +
  'paidAt refundedAt updatedAt').split(' '));

// One row a model: its example, the relation below an organization, and what the API's routes lack.
const MODELS = [
  {name: 'Client', example: 'clients', relation: 'clients', required: ['name']},
  {name: 'Document', example: 'documents', relation: 'documents'},
  {name: 'Item', example: 'items', relation: 'items'},
  {name: 'Payment', example: 'payments', relation: 'payments', required: ['amount', 'type', 'date']},
  {name: 'Recurrence', example: 'recurrences', relation: 'recurrences', required: ['name', 'type']},
  {name: 'Tax', plural: 'Taxes', example: 'taxes', relation: 'taxes'},
  {name: 'Unit', example: 'units', relation: 'units', required: ['name'], lacks: ['findById']},
  {name: 'Category', plural: 'Categories', example: 'categories', relation: 'categories', required: ['name', 'alias']},
  {name: 'PriceList', example: 'price_lists', relation: 'priceLists', required: ['name']},
  {name: 'Price', example: 'prices', required: ['amount'], lacks: ['findById']},
  {name: 'Order', example: 'orders', relation: 'orders',
    lacks: ['deleteById', 'prototype.patchAttributes', 'replaceById']},
];

const HIDDEN = ['find', 'findOne', 'count', 'create', 'exists', 'upsert', 'upsertWithWhere', 'replaceOrCreate',
  'updateAll', 'createChangeStream'];

const app = loopback();
app.set('remoting', {errorHandler: {debug: false, log: false}});
app.dataSource('memory', {connector: 'memory'});

// Ids like MongoDB's: ascending.
let counter = 0;
const newId = () => Math.floor(Date.now() / 1000).toString(16).padStart(8, '0') + '5ace5ace5a' +
  (++counter).toString(16).padStart(6, '0');

function typeOf(name, value) {
  if (DATES.has(name)) return 'date';
  if (Array.isArray(value)) return typeof value[0] === 'string' ? ['string'] : ['object'];
  return value === null ? 'string' : typeof value;
}

function define(row, extra) {
  const record = JSON.parse(fs.readFileSync(path.join(EXAMPLES, row.example + '.json'), 'utf8'));
  const properties = {};
  for (const [name, value] of Object.entries(record)) properties[name] = {type: typeOf(name, value)};
  for (const name of row.required || []) properties[name].required = true;
  Object.assign(properties, {id: {type: 'string', id: true, generated: false}}, extra);
  const Model = app.registry.createModel(row.name, properties, {plural: row.plural, forceId: false});
  app.model(Model, {dataSource: 'memory', public: true});
  for (const method of HIDDEN.concat(row.lacks || [])) Model.disableRemoteMethodByName(method);
  return Model;
}

// As loopback-ds-timestamp-mixin: every save stamps, and what the client sent is overwritten.
function stamps(Model) {
  Model.observe('before save', async ctx => {
    const target = ctx.instance || ctx.data;
    if (ctx.isNewInstance) Object.assign(target, {id: newId(), createdAt: new Date()});
    target.updatedAt = new Date();
  });
}

// As loopback-softdelete-mixin: deletion marks, queries hide what is marked unless they say `deleted`.
function softDeletes(Model) {
  const alive = where => ({and: [where || {}, {_isDeleted: false}]});
  const {find, count, updateAll} = Model;
  Model.observe('before save', async ctx => {
    if (ctx.isNewInstance) ctx.instance._isDeleted = false;
  });
  Model.find = function(filter, ...rest) {
    if (typeof filter === 'function') [filter, rest] = [{}, [filter]];
    filter = filter || {};
    if (!filter.deleted) filter = Object.assign({}, filter, {where: alive(filter.where)});
    return find.call(Model, filter, ...rest);
  };
  Model.count = function(where, ...rest) {
    if (typeof where === 'function') [where, rest] = [{}, [where]];
    return count.call(Model, alive(where), ...rest);
  };
  Model.deleteById = Model.destroyById = Model.removeById = function(id, options, done) {
    done = done || options;
    const mark = {deletedAt: new Date(), _isDeleted: true, deletedId: String(id)};
    updateAll.call(Model, alive({id}), mark, done);
  };
}

// The API's page: at most 100 records, and their number in a header.
function pages(Parent, relation, Model, key) {
  const method = 'prototype.__get__' + relation;
  Parent.beforeRemote(method, async ctx => {
    const filter = ctx.args.filter = ctx.args.filter || {};
    if (filter.limit === undefined || filter.limit > PAGE_CAP) filter.limit = PAGE_CAP;
  });
  Parent.afterRemote(method, async ctx => {
    const {where} = ctx.args.filter;
    ctx.res.set('x-total-count', String(await Model.count({and: [where || {}, {[key]: ctx.instance.id}]})));
  });
  for (const unused of ['__delete__', '__findById__', '__updateById__', '__destroyById__']) {
    Parent.disableRemoteMethodByName('prototype.' + unused + relation);
  }
}

const Organization = define({name: 'Organization', example: 'organizations'}, {accountId: {type: 'string'}});
const Account = define({name: 'Account', example: 'accounts'});
const models = {Organization, Account};
for (const row of MODELS) {
  const deletion = {_isDeleted: {type: 'boolean'}, deletedAt: {type: 'date'}, deletedId: {type: 'string'}};
  const Model = models[row.name] = define(row, deletion);
  if (row.relation) Organization.hasMany(Model, {as: row.relation, foreignKey: 'organizationId'});
}
models.PriceList.hasMany(models.Price, {as: 'prices', foreignKey: 'priceListId'});
models.Document.hasMany(models.Payment, {as: 'payments', foreignKey: 'documentId'});
Account.hasMany(Organization, {as: 'organizations', foreignKey: 'accountId'});

for (const [name, Model] of Object.entries(models)) {
  stamps(Model);
  if (name !== 'Organization' && name !== 'Account') softDeletes(Model);
}
for (const row of MODELS) {
  if (row.relation) pages(Organization, row.relation, models[row.name], 'organizationId');
}
pages(models.PriceList, 'prices', models.Price, 'priceListId');
pages(models.Document, 'payments', models.Payment, 'documentId');
pages(Account, 'organizations', Organization, 'accountId');
Organization.disableRemoteMethodByName('prototype.__create__orders');

let owner;
Account.authorized = async () => owner;
Account.remoteMethod('authorized', {http: {verb: 'get', path: '/authorized'}, returns: {root: true, type: 'object'}});

// Raw tokens, as the API wants them; stock LoopBack decodes what follows "Bearer ".
function authorize(req, res, next) {
  const token = req.get('authorization') || req.get('x-access-token') || req.query.access_token;
  if (token === TOKEN) return next();
  const [message, code] = token ? ['Invalid Access Token', 'INVALID_TOKEN']
    : ['Authorization Required', 'AUTHORIZATION_REQUIRED'];
  res.status(401).json({error: {statusCode: 401, name: 'Error', message, code}});
}

// Test-only routes: what the API has no route for. The memory connector keeps records as JSON by id.
const stored = name => app.dataSources.memory.connector.cache[name];
const TESTS = {
  load: async ({model, rows}) => rows.map(row => {
    const now = new Date();
    const record = Object.assign({_isDeleted: false, createdAt: now, updatedAt: now}, row, {id: newId()});
    stored(model)[record.id] = JSON.stringify(record);
    return record.id;
  }),
  create: async ({model, row}) => (await models[model].create(row)).id,
  organization: async ({name}) => (await Organization.create({name, active: true, accountId: owner.id})).id,
  put: async ({model, row}) => { stored(model)[row.id] = JSON.stringify(row); },
  touch: async ({model, id}) => { await (await models[model].findById(id)).save(); },
  update: async ({model, id, fields}) => { await (await models[model].findById(id)).patchAttributes(fields); },
  softDelete: async ({model, id}) => new Promise((resolve, reject) => {
    models[model].deleteById(id, (error, info) => error ? reject(error) : resolve(info.count));
  }),
  hardDelete: async ({model, id}) => { delete stored(model)[id]; },
  restore: async ({model, id}) => {
    const {deletedAt, deletedId, ...record} = JSON.parse(stored(model)[id]);
    stored(model)[id] = JSON.stringify(Object.assign(record, {_isDeleted: false, updatedAt: new Date()}));
  },
  shutdown: async () => { setImmediate(() => process.exit(0)); },
};

app.post('/_test/:act', loopback.json({limit: '64mb'}), (req, res) => TESTS[req.params.act](req.body).then(
  answer => res.json({answer}), error => res.status(500).json({error: String(error)})));
app.use('/v1', authorize, loopback.rest());

async function start() {
  owner = await Account.create({firstname: 'Tina', lastname: 'Zajc', email: 'tina@lunar-freight.example'});
  for (const number of [1, 2]) {
    await Organization.create({name: `Organization ${number}`, active: true, accountId: owner.id});
  }
  const server = app.listen(Number(process.argv[2] || 0), '127.0.0.1', () => {
    console.log(`listening ${server.address().port}`);
  });
}

start();
