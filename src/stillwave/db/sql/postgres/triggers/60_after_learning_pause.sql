DROP TRIGGER IF EXISTS after_learning_pause ON learning_pause;
CREATE TRIGGER after_learning_pause
    AFTER INSERT ON learning_pause
    FOR EACH ROW
    WHEN (NEW.keep_before IS NOT NULL)
    EXECUTE FUNCTION keep_learned();
