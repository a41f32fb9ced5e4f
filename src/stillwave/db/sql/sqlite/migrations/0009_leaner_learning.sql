-- The trigger writes fewer pages: its tables, empty between statements, without a copy of what the state says already,
-- and each in one page instead of two.
DROP TABLE learning_fold;
DROP TABLE learning_work;
DROP TABLE learning_work_curve;

-- The state being folded. Empty between statements, and so are the two below.
CREATE TABLE learning_fold (
    user_id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    folded_at TEXT NOT NULL,  -- everything up to here is in the state that the fold began with
    folded_id TEXT NOT NULL,
    moved_at TEXT,            -- the last feedback folded
    touched TEXT              -- the band of the last feedback folded; '' if it moved none
) STRICT, WITHOUT ROWID;

-- The one feedback being folded: SQLite triggers have no variables.
CREATE TABLE learning_work (
    user_id TEXT NOT NULL PRIMARY KEY,
    flags TEXT NOT NULL,      -- red flags, a JSON array
    y REAL,                   -- what was rated, on 0-1
    noise REAL NOT NULL,
    sens REAL NOT NULL,       -- known before
    trans REAL NOT NULL,
    vol REAL NOT NULL,
    sens_after REAL NOT NULL,
    trans_after REAL NOT NULL,
    vol_after REAL NOT NULL,
    nt_after INTEGER NOT NULL,
    band TEXT,                -- NULL where the curves learn nothing; then so is all below
    low_hz REAL,
    high_hz REAL,
    i INTEGER,                -- the grid point at or below the frequency, 0-7
    t REAL                    -- the weight of the next one
) STRICT, WITHOUT ROWID;

-- Its curves after it: the band's, and the group's if it has one in the band. Lists are JSON arrays.
CREATE TABLE learning_work_curve (
    user_id TEXT NOT NULL,
    place TEXT NOT NULL,      -- bands or groups: where in the state
    name TEXT NOT NULL,       -- under which key there
    n INTEGER NOT NULL,       -- ratings so far, this one included
    mean_before TEXT NOT NULL,
    mean TEXT NOT NULL,
    covariance TEXT NOT NULL,
    PRIMARY KEY (user_id, place)
) STRICT, WITHOUT ROWID;
