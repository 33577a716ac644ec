// Ranks the rows of a list as RANK says; in the JavaScript that servers know, ECMAScript 5.
var MOST = 10, LINE = 88, NARROWEST = 6, ENDING = 20;

function at(row, path) {
    for (var i = 0; row !== undefined && i < path.length; i++) { row = row[path[i]]; }
    return row;
}

function reaches(row, limit) {
    var value = at(row, limit.path);
    return value > 0 && value >= Number(limit.macro);
}

// How far over its limit a figure is, 0 when it isn't. Percentages by how many times less room is
// left than at the limit: what is full comes before what fills, and before most counts.
function excess(row, column) {
    if (!column.limits || !column.limits.every(function (limit) { return reaches(row, limit); })) {
        return 0;
    }
    var value = at(row, column.path), limit = Number(column.limits[0].macro);
    return column.percent
        ? (100.1 - limit) / (100.1 - Math.min(value, 100)) : value / Math.max(limit, 1);
}

function width(column) { return Math.max(column.title.length, NARROWEST) + 2; }

function padded(text, column) {
    while (text.length < width(column)) { text = ' ' + text; }
    return text;
}

function amount(bytes) {
    var unit = 0;
    while (bytes >= 999.5 && unit < 5) { bytes /= 1000; unit++; }
    return (unit && bytes < 9.95 ? bytes.toFixed(1) : bytes.toFixed(0)) + ['', 'k', 'M', 'G', 'T', 'P'][unit];
}

function cell(row, column) {
    var value = at(row, column.path);
    if (column.per) { value = value / at(row, column.per); }  // of nothing there is no mean
    if (value === undefined || isNaN(value)) { value = '-'; }  // not known, which is not 0
    else if (column.percent) { value = Math.floor(value); }
    else if (column.bytes) { value = amount(value); }
    else if (column.milliseconds) { value = (value / 1000).toFixed(1); }
    return padded(value + (excess(row, column) ? '!' : ' '), column);
}

var longest = RANK.columns.reduce(function (room, column) {
    return room - width(column);
}, LINE - 1);

function shortened(name) {
    if (name.length <= longest) { return name; }
    // Half a character of two is none.
    return name.slice(0, longest - ENDING - 3).replace(/[\uD800-\uDBFF]$/, '') + '...'
        + name.slice(-ENDING).replace(/^[\uDC00-\uDFFF]/, '');
}

function named(row) {
    var names = RANK.names.map(function (field) { return row[field]; });
    return ' ' + shortened(names.filter(function (name) { return name; }).join(' '));
}

var complete = false, ranked = [], lines = [];
JSON.parse(value).forEach(function (row) {
    if (row.id === '(absent)') { complete = true; return; }
    var worst = 0;
    RANK.columns.forEach(function (column) { worst = Math.max(worst, excess(row, column)); });
    var size = 0;
    RANK.size.forEach(function (path) { size += at(row, path) || 0; });
    if (!RANK.needs || row[RANK.needs]) { ranked.push({row: row, worst: worst, size: size}); }
});
ranked.sort(function (a, b) {
    return b.worst - a.worst || b.size - a.size || (a.row.id < b.row.id ? -1 : 1);
});
if (ranked.length) {
    lines.push(RANK.columns.map(function (column) {
        return padded(column.title + ' ', column);
    }).join('') + ' ' + RANK.heading);
} else if (complete || RANK.needs) {
    lines.push(RANK.none);
}
ranked.slice(0, MOST).forEach(function (each) {
    lines.push(RANK.columns.map(function (column) { return cell(each.row, column); }).join('')
        + named(each.row));
});
var more = ranked.slice(MOST), troubled = more.filter(function (each) { return each.worst > 0; });
if (more.length) {
    lines.push('and ' + more.length + ' more' + (troubled.length
        ? ', ' + troubled.length + ' of them over a limit (!)' : ''));
}
if (!complete && (ranked.length || !RANK.needs)) {
    lines.push('This list is not complete: what it lacks may be worse.');
}
return lines.join('\n');
