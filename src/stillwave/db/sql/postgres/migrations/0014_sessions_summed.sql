-- The summary of a person, or of everybody, counts sessions and averages what they did: with the rating in the index of
-- the person it reads this alone, and not the sessions with their plans.
DROP INDEX idx_sessions_user_id;
CREATE INDEX idx_sessions_user_id ON sessions (user_id, effectiveness_rating);
